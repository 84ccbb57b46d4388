"""Machine operations that Numba has no spelling for: plain loads and a wide multiply.

All are device functions for the kernels in this folder. With the JIT disabled they are plain
Python, so that the same kernel source runs either way.
"""

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

MASK_64 = 0xFFFFFFFFFFFFFFFF


def _load_u8(typing_context, array, offset):  # noqa: ARG001
    def codegen(context, builder, signature, args):
        array_type = signature.args[0]
        struct = context.make_array(array_type)(context, builder, args[0])
        return builder.load(builder.gep(struct.data, [args[1]]))

    return types.uint8(array, types.int64), codegen


def _load_u64(typing_context, array, offset):  # noqa: ARG001
    def codegen(context, builder, signature, args):
        array_type = signature.args[0]
        struct = context.make_array(array_type)(context, builder, args[0])
        place = builder.gep(struct.data, [args[1]])
        word = builder.bitcast(place, ir.IntType(64).as_pointer())
        return builder.load(word, align=1)

    return types.uint64(array, types.int64), codegen


def _multiply_fold(typing_context, left, right):  # noqa: ARG001
    def codegen(context, builder, signature, args):  # noqa: ARG001
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        high = builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))
        return builder.xor(high, builder.trunc(product, ir.IntType(64)))

    return types.uint64(types.uint64, types.uint64), codegen


if config.DISABLE_JIT:  # type: ignore[attr-defined]

    def load_u8(array, offset):
        """Return the byte at `offset`, never counted from the end; the caller checks bounds.

        An index would be tested for being negative each time (measured: 6 % of a walk).
        """
        return array[offset]

    def load_u64(array, offset):
        """Return the 8 bytes at `offset` as a little-endian uint64; the caller checks bounds."""
        return np.uint64(int.from_bytes(bytes(array[offset : offset + 8]), "little"))

    def multiply_fold(left, right):
        """Return the 128-bit product of two uint64, its halves folded together by xor."""
        product = int(left) * int(right)
        return np.uint64((product >> 64) ^ (product & MASK_64))

else:
    load_u8 = intrinsic(_load_u8)  # type: ignore[assignment]
    load_u64 = intrinsic(_load_u64)  # type: ignore[assignment]
    multiply_fold = intrinsic(_multiply_fold)  # type: ignore[assignment]
