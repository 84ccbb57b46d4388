"""A quick look at label blocks: canonical and within bounds, or worth a closer look."""

from numba import int64, njit, uint8, void

from aiops.wire.kernels.hashing import BODY

SIGNATURE_CHECK = void(BODY, int64[:, ::1], int64[::1], int64[::1], uint8[::1])

# Indices into `limits`.
LABELS_MAX = 0
NAME_BYTES_MAX = 1
VALUE_BYTES_MAX = 2
BLOCK_BYTES_MAX = 3


@njit(inline="always")
def _is_name_byte(byte, is_first, is_metric):
    """Tell whether a byte may stand in a label name (or in a metric name, which allows ':')."""
    if (0x61 <= byte <= 0x7A) or (0x41 <= byte <= 0x5A) or byte == 0x5F:
        return True
    if byte == 0x3A:
        return is_metric
    return 0x30 <= byte <= 0x39 and not is_first


@njit(inline="always")
def _are_name_bytes(body, start, length, is_metric):
    for position in range(length):
        if not _is_name_byte(body[start + position], position == 0, is_metric):
            return False
    return length > 0


@njit(inline="always")
def _is_plain_text(body, start, length):
    """Tell whether a value is not empty and all ASCII; other text is judged in Python."""
    for position in range(length):
        if body[start + position] >= 0x80:
            return False
    return length > 0


@njit(inline="always")
def _is_metric_name(body, start, length):
    """Tell whether the label name is `__name__`."""
    if length != 8:
        return False
    for position in range(8):
        wanted = (0x5F, 0x5F, 0x6E, 0x61, 0x6D, 0x65, 0x5F, 0x5F)[position]
        if body[start + position] != wanted:
            return False
    return True


@njit(inline="always")
def _is_after(body, start, length, before_start, before_length):
    """Tell whether one name sorts strictly after another, byte by byte."""
    for position in range(min(length, before_length)):
        if body[start + position] != body[before_start + position]:
            return body[start + position] > body[before_start + position]
    return length > before_length


@njit(inline="always")
def _is_canonical(body, position, end, limits):
    n_labels = 0
    name_start = int64(0)
    name_length = int64(0)
    has_metric_name = False
    while position < end:
        # Lengths of one byte only: longer labels are rare and take the closer look.
        if position + 4 > end or body[position] != 0x0A or body[position + 1] >= 0x80:
            return False
        field_end = position + 2 + int64(body[position + 1])
        if field_end > end or body[position + 2] != 0x0A or body[position + 3] >= 0x80:
            return False
        start = position + 4
        length = int64(body[position + 3])
        value_at = start + length
        if value_at + 2 > field_end or body[value_at] != 0x12:
            return False
        value_length = int64(body[value_at + 1])
        if value_length >= 0x80 or value_at + 2 + value_length != field_end:
            return False
        is_metric_name = _is_metric_name(body, start, length)
        has_metric_name |= is_metric_name
        if n_labels > 0 and not _is_after(body, start, length, name_start, name_length):
            return False
        if length > limits[NAME_BYTES_MAX] or value_length > limits[VALUE_BYTES_MAX]:
            return False
        if not _are_name_bytes(body, start, length, False):
            return False
        if is_metric_name and not _are_name_bytes(body, value_at + 2, value_length, True):
            return False
        if not _is_plain_text(body, value_at + 2, value_length):
            return False
        name_start = start
        name_length = length
        n_labels += 1
        position = field_end
    return has_metric_name and n_labels <= limits[LABELS_MAX]


@njit([SIGNATURE_CHECK], nogil=True, cache=True, error_model="numpy")
def k_label_blocks_check(body, spans, rows, limits, is_canonical):
    """Write 1 for each block that is canonical, ASCII and within `limits`, else 0.

    `spans` is int64[n, 2], `rows` the indices into it to look at, `limits` int64[4] by the indices
    above. A 0 says nothing bad yet: `wire.labels.canonical_block` decides, and explains.
    """
    for index in range(len(rows)):
        start = spans[rows[index], 0]
        end = spans[rows[index], 1]
        is_canonical[index] = 0
        if end - start <= limits[BLOCK_BYTES_MAX] and _is_canonical(body, start, end, limits):
            is_canonical[index] = 1
