#!/usr/bin/env bash
# Compiles torch-scatter into the environment of the given Python. Never fails: graphkit runs on torch alone, and every
# reason for going without is said in one line.
#
# Usage: scripts/install_scatter.sh PYTHON [cached]    with "cached", only if pip has a wheel that it built before
set -u
cd "$(dirname "$0")/.."
python=$1
mode=${2:-compile}
log=$(dirname "$(dirname "$python")")/torch-scatter.log

works() { "$python" -c "import torch_scatter; torch_scatter.segment_csr" 2>/dev/null; }
install() { "$python" -m pip install -q --no-build-isolation --no-deps -c constraints.txt "$@" torch-scatter >"$log" 2>&1; }
skip() { echo "torch-scatter: skipped, $1; graphkit runs on torch alone."; exit 0; }

works && exit 0
if [ "$mode" = cached ] && ! "$python" -m pip cache list torch_scatter 2>/dev/null | grep -q whl; then
    skip "it takes about 5 minutes to compile (make scatter)"
fi
compiler=${CXX:-c++}
command -v "${compiler%% *}" >/dev/null || skip "no C++ compiler found"
"$python" -m pip install -q -c constraints.txt setuptools wheel >"$log" 2>&1 || skip "setuptools did not install, see $log"

[ "$mode" = cached ] || echo "torch-scatter: compiling (about 5 minutes, once) ..."
install || skip "it did not compile, see $log"
# A wheel that pip kept from an older torch installs but does not load: compile afresh.
[ "$mode" = cached ] || works || install --force-reinstall --no-cache-dir
works && { echo "torch-scatter: installed"; exit 0; }
"$python" -m pip uninstall -q -y torch-scatter >/dev/null 2>&1
skip "it does not load, see $log"
