"""Colour refinement, compiled by numba; imported where colours are first asked for.

Rows are what is coloured: tuples of nodes of labelled copies of graphs. The copies of graph ``g`` begin at row
``row_start[g]`` and have ``width[g]`` rows each. A round is driven by the rows whose colour changed in the round
before: each sends its colour, as a key, to the rows that see it. Two rows of one colour saw the same until then, so
they differ now if and only if they get different multisets of keys: a new colour tells which colour it came from.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

_jit = numba.njit(nogil=True, cache=True, boundscheck=False)

# How rows see one another: along edges; tuples that differ in one place; the same, all places replaced at once.
EDGES, OBLIVIOUS, FOLKLORE = 0, 1, 2


@_jit
def _sort(keys: Any, start: int, stop: int) -> None:
    """Sort a stretch in place."""
    if stop - start > 24:
        keys[start:stop].sort()
        return
    for i in range(start + 1, stop):
        key, j = keys[i], i
        while j > start and keys[j - 1] > key:
            keys[j] = keys[j - 1]
            j -= 1
        keys[j] = key


@_jit
def _same(keys: Any, a: int, b: int, length: int) -> bool:
    i = 0
    while i < length and keys[a + i] == keys[b + i]:
        i += 1
    return i == length


@_jit
def group_multisets(keys: Any, ptr: Any, own: Any) -> Any:
    """Number the pairs of ``own[i]`` and the multiset ``keys[ptr[i]:ptr[i + 1]]`` by first occurrence.

    Sorts ``keys`` in place. Hashes only find candidates; equal means compared entry by entry.

    Returns:
        The number of each pair, and the position where each number occurs first.
    """
    size = ptr.size - 1
    slots = 16
    while slots < 2 * size:
        slots *= 2
    table = np.full(slots, -1, np.int64)
    group, first = np.empty(size, np.int64), np.empty(size, np.int64)
    count = 0
    for i in range(size):
        start, stop = ptr[i], ptr[i + 1]
        _sort(keys, start, stop)
        code = np.uint64(own[i]) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(stop - start)
        for j in range(start, stop):
            code = (code ^ np.uint64(keys[j])) * np.uint64(0xBF58476D1CE4E5B9)
            code ^= code >> np.uint64(29)
        place = np.int64(code & np.uint64(slots - 1))
        while True:
            number = table[place]
            if number < 0:
                table[place], first[count], group[i] = count, i, count
                count += 1
                break
            j = first[number]
            if own[j] == own[i] and ptr[j + 1] - ptr[j] == stop - start and _same(keys, ptr[j], start, stop - start):
                group[i] = number
                break
            place = (place + 1) & (slots - 1)
    return group, first[:count]


class Layout(NamedTuple):
    """How rows lie and what they see.

    Attributes:
        how: ``EDGES``, ``OBLIVIOUS`` or ``FOLKLORE``.
        k: The length of tuples.
        row_start: The first row of each graph, then the number of rows.
        width: The number of rows of a copy of each graph.
        node_start: The first node of each graph, then the number of nodes.
        rowptr: Where the list of nodes that see a node begins, then the length of all lists.
        col: These lists.
        kind: The kind of each of their edges.
        seen_ptr: Where the list of nodes that a node sees begins, for ``EDGES``; ``seen`` and ``seen_kind`` as above.
        num_kinds: The number of kinds.
        room: How many rows see a row, at most.
    """

    how: int
    k: int
    row_start: Any
    width: Any
    node_start: Any
    rowptr: Any
    col: Any
    kind: Any
    seen_ptr: Any
    seen: Any
    seen_kind: Any
    num_kinds: int
    room: int


class Colours(NamedTuple):
    """The state of a refinement.

    Attributes:
        of: The colour of each row.
        size: The number of rows of each colour, with room for as many colours as rows.
        changed: Whether a row's colour changed in the last round.
        slot: Scratch space per row, -1 between rounds.
        reached: Scratch space per colour, 0 between rounds.
    """

    of: Any
    size: Any
    changed: Any
    slot: Any
    reached: Any


@_jit
def _send(row: int, layout: Any, colours: Any, num_colours: int, rows: Any, keys: Any) -> int:
    """Write the rows that see a changed row, and the keys that they get; returns how many there are."""
    graph = np.searchsorted(layout.row_start, row, side="right") - 1
    width, first_node = layout.width[graph], layout.node_start[graph]
    place = (row - layout.row_start[graph]) % width
    base, colour = row - place, colours.of[row]
    sent = 0
    if layout.how == EDGES:
        node = first_node + place
        for j in range(layout.rowptr[node], layout.rowptr[node + 1]):
            rows[sent], keys[sent] = base + layout.col[j] - first_node, colour * layout.num_kinds + layout.kind[j]
            sent += 1
        return sent
    n, stride = layout.node_start[graph + 1] - first_node, width
    for i in range(layout.k):
        stride //= n
        own = place // stride % n
        for x in range(n):
            seen_by = row + (x - own) * stride
            if layout.how == OBLIVIOUS:
                rows[sent], keys[sent] = seen_by, colour * layout.k + i
                sent += 1
                continue
            # What seen_by sees at the node ``own``: itself with each place in turn replaced by it. The first of these
            # that changed sends for all.
            key, first, step = 0, True, width
            for j in range(layout.k):
                step //= n
                replaced = seen_by + (own - (seen_by - base) // step % n) * step
                key = key * num_colours + colours.of[replaced]
                first = first and not (j < i and colours.changed[replaced])
            if first:
                rows[sent], keys[sent] = seen_by, key
                sent += 1
    return sent


@_jit
def _sent(layout: Any, colours: Any, num_colours: int, sources: Any) -> Any:
    """What rows get where few send: the rows that get keys, where those of each begin, and the keys."""
    rows, keys = np.empty(layout.room, np.int64), np.empty(layout.room, np.int64)
    touched, ptr = np.empty(64, np.int64), np.zeros(65, np.int64)
    into, sent_key = np.empty(1024, np.int32), np.empty(1024, np.int64)
    slot, count, total = colours.slot, 0, 0
    for row in sources:
        for j in range(_send(row, layout, colours, num_colours, rows, keys)):
            target = rows[j]
            if colours.size[colours.of[target]] == 1:  # alone in its colour: nothing left to split
                continue
            if slot[target] < 0:
                if count == touched.size:
                    touched = np.concatenate((touched, np.empty(count, np.int64)))
                    ptr = np.concatenate((ptr, np.zeros(count, np.int64)))
                slot[target], touched[count] = count, target
                count += 1
            if total == into.size:
                into = np.concatenate((into, np.empty(total, np.int32)))
                sent_key = np.concatenate((sent_key, np.empty(total, np.int64)))
            into[total], sent_key[total] = slot[target], keys[j]
            ptr[slot[target] + 1] += 1
            total += 1
    for i in range(count):
        ptr[i + 1] += ptr[i]
    received, filled = np.empty(total, np.int64), ptr[:count].copy()
    for i in range(total):
        received[filled[into[i]]] = sent_key[i]
        filled[into[i]] += 1
    for row in touched[:count]:
        slot[row] = -1
    return touched[:count], ptr[: count + 1], received


@_jit
def _collected(layout: Any, colours: Any) -> Any:
    """What rows get along edges where many send: each looks at all that it sees. As :func:`_sent`."""
    rows = colours.of.size
    touched, ptr = np.empty(rows, np.int64), np.zeros(rows + 1, np.int64)
    keys = np.empty(1024, np.int64)
    row, count, total = 0, 0, 0
    for graph in range(layout.width.size):
        first_node = layout.node_start[graph]
        num_nodes = layout.node_start[graph + 1] - first_node
        while row < layout.row_start[graph + 1]:
            for node in range(first_node, first_node + num_nodes):
                begin, end = layout.seen_ptr[node], layout.seen_ptr[node + 1]
                if colours.size[colours.of[row + node - first_node]] == 1:
                    continue
                if total + end - begin > keys.size:
                    keys = np.concatenate((keys, np.empty(keys.size + end - begin, np.int64)))
                before = total
                for j in range(begin, end):
                    other = row + layout.seen[j] - first_node
                    keys[total] = colours.of[other] * layout.num_kinds + layout.seen_kind[j]
                    total += colours.changed[other]
                if total > before:
                    touched[count] = row + node - first_node
                    count += 1
                    ptr[count] = total
            row += num_nodes
    return touched[:count], ptr[: count + 1], keys[:total]


@_jit
def refine(layout: Any, colours: Any, num_colours: int, sources: Any) -> Any:
    """One round, in place.

    Args:
        layout: How rows lie.
        colours: Their colours.
        num_colours: The number of colours.
        sources: The rows that changed in the round before (in the first: all).

    Returns:
        The new number of colours and the rows that changed.
    """
    if layout.how == EDGES and 4 * sources.size > colours.of.size:
        touched, ptr, keys = _collected(layout, colours)
    else:
        touched, ptr, keys = _sent(layout, colours, num_colours, sources)
    for row in sources:
        colours.changed[row] = False
    return _split(colours, num_colours, touched, keys, ptr)


@_jit
def _split(colours: Any, num_colours: int, touched: Any, received: Any, ptr: Any) -> Any:
    """Give rows that got keys their colours. Rows of a colour that got none keep it, else its largest group does."""
    old = colours.of[touched]
    group, first = group_multisets(received, ptr, old)
    members = np.zeros(first.size, np.int64)
    for g in group:
        members[g] += 1
    parent = old[first]
    new = np.full(first.size, -1, np.int64)
    largest, reached = colours.slot, colours.reached  # by colour
    for g, colour in enumerate(parent):
        reached[colour] += members[g]
        if largest[colour] < 0 or members[g] > members[largest[colour]]:
            largest[colour] = g
    for g, colour in enumerate(parent):
        if largest[colour] == g and reached[colour] == colours.size[colour]:
            new[g] = colour
    for g, colour in enumerate(parent):
        largest[colour], reached[colour] = -1, 0
        if new[g] < 0:
            new[g] = num_colours
            colours.size[num_colours] = members[g]
            colours.size[colour] -= members[g]
            num_colours += 1
    moved = np.empty(touched.size, np.int64)
    count = 0
    for i, row in enumerate(touched):
        if new[group[i]] != old[i]:
            colours.of[row], colours.changed[row], moved[count] = new[group[i]], True, row
            count += 1
    return num_colours, moved[:count].copy()


@_jit
def renumbered(colour: Any, num_colours: int) -> Any:
    """The colours numbered by first occurrence."""
    name = np.full(num_colours, -1, np.int64)
    out = np.empty(colour.size, np.int32)
    count = 0
    for i in range(colour.size):
        if name[colour[i]] < 0:
            name[colour[i]] = count
            count += 1
        out[i] = name[colour[i]]
    return out
