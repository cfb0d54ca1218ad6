#!/usr/bin/env bash
# Compiles torch-scatter into the environment of the given Python. Never fails: graphkit runs on torch alone, and every
# reason for going without is said in one line.
#
# Usage: scripts/install_scatter.sh PYTHON
set -u
cd "$(dirname "$0")/.."
python=$1
log=$(dirname "$(dirname "$python")")/torch-scatter.log

works() { "$python" -c "import torch_scatter; torch_scatter.segment_csr" 2>/dev/null; }
install() { "$python" -m pip install -q --no-build-isolation --no-deps -c constraints.txt "$@" torch-scatter >"$log" 2>&1; }
skip() { echo "torch-scatter: skipped, $1; graphkit runs on torch alone."; exit 0; }

works && exit 0
[ "${SCATTER:-yes}" = no ] && skip "as SCATTER=no asks"
compiler=${CXX:-c++}
command -v "${compiler%% *}" >/dev/null || skip "no C++ compiler found"
"$python" -m pip install -q -c constraints.txt setuptools wheel >"$log" 2>&1 || skip "setuptools did not install, see $log"

echo "torch-scatter: compiling (about 5 minutes, once; SCATTER=no leaves it out) ..."
install || skip "it did not compile, see $log"
# A wheel that pip kept from an older torch installs but does not load: compile afresh.
works || install --force-reinstall --no-cache-dir
works && { echo "torch-scatter: installed"; exit 0; }
"$python" -m pip uninstall -q -y torch-scatter >/dev/null 2>&1
skip "it does not load, see $log"
