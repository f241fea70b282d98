//go:build amd64 && !noasm

#include "textflag.h"

// Products of one row with a panel of 16 quantised outputs, and a panel as float32, 16 outputs in one register.
// quantised.go says how a panel lies in memory; the twins there say what is computed.

// The numbers 0 to 15: VPERMPS looks a code of 4 bits up here and needs no other bits of it to be cleared.
DATA sixteen<>+0(SB)/8, $0x3f80000000000000
DATA sixteen<>+8(SB)/8, $0x4040000040000000
DATA sixteen<>+16(SB)/8, $0x40a0000040800000
DATA sixteen<>+24(SB)/8, $0x40e0000040c00000
DATA sixteen<>+32(SB)/8, $0x4110000041000000
DATA sixteen<>+40(SB)/8, $0x4130000041200000
DATA sixteen<>+48(SB)/8, $0x4150000041400000
DATA sixteen<>+56(SB)/8, $0x4170000041600000
GLOBL sixteen<>(SB), RODATA|NOPTR, $64

DATA nibbles<>+0(SB)/4, $0x0f0f0f0f
GLOBL nibbles<>(SB), RODATA|NOPTR, $4
DATA signs<>+0(SB)/4, $0x80808080
GLOBL signs<>(SB), RODATA|NOPTR, $4

// DIGITS adds the products of four codes of each output, bytes without a sign, with the three digits of their inputs,
// quad number q of the group, to three sums of each output.
#define DIGITS(q, codes, a, b, c) \
	VPDPBUSD.BCST (16*q)(SI), codes, a   \
	VPDPBUSD.BCST (16*q+4)(SI), codes, b \
	VPDPBUSD.BCST (16*q+8)(SI), codes, c

// WHOLE puts the sums of the digits together: (c*256 + b)*256 + a, in a.
#define WHOLE(a, b, c) \
	VPSLLD $8, c, c \
	VPADDD c, b, b  \
	VPSLLD $8, b, b \
	VPADDD b, a, a

// NIBBLES is one row of codes: the inputs 4r to 4r+3 in the low halves of the bytes, 16+4r to 16+4r+3 in the high ones.
#define NIBBLES(r) \
	VMOVDQU32 (64*r)(DI), Z8          \
	VPSRLD $4, Z8, Z9                 \
	VPANDD Z12, Z8, Z8                \
	VPANDD Z12, Z9, Z9                \
	DIGITS(r, Z8, Z0, Z1, Z2)         \
	DIGITS((r+4), Z9, Z5, Z6, Z7)

#define NOSUMS \
	VPXORD Z0, Z0, Z0 \
	VPXORD Z1, Z1, Z1 \
	VPXORD Z2, Z2, Z2 \
	VPXORD Z5, Z5, Z5 \
	VPXORD Z6, Z6, Z6 \
	VPXORD Z7, Z7, Z7

#define BOTHSUMS \
	VPADDD Z5, Z0, Z0 \
	VPADDD Z6, Z1, Z1 \
	VPADDD Z7, Z2, Z2 \
	WHOLE(Z0, Z1, Z2)

// func gemv4vnni(dst *float32, digits *int32, scales *float32, sums *int32, groups int, panel *byte)
TEXT ·gemv4vnni(SB), NOSPLIT, $0-48
	MOVQ dst+0(FP), DX
	MOVQ digits+8(FP), SI
	MOVQ scales+16(FP), R9
	MOVQ sums+24(FP), BX
	MOVQ groups+32(FP), CX
	MOVQ panel+40(FP), DI
	VPBROADCASTD nibbles<>(SB), Z12
	VPXORD Z4, Z4, Z4 // the result
gemv4:
	PREFETCHT0 2560(DI)
	PREFETCHT0 2624(DI)
	PREFETCHT0 2688(DI)
	PREFETCHT0 2752(DI)
	PREFETCHT0 2816(DI)
	NOSUMS
	NIBBLES(0)
	NIBBLES(1)
	NIBBLES(2)
	NIBBLES(3)
	BOTHSUMS
	VCVTDQ2PS Z0, Z0
	VCVTPH2PS 256(DI), Z20
	VCVTPH2PS 288(DI), Z21
	VCVTDQ2PS.BCST (BX), Z22
	VMULPS Z22, Z21, Z21
	VFMADD231PS Z0, Z20, Z21
	VFMADD231PS.BCST (R9), Z21, Z4
	ADDQ $320, DI
	ADDQ $128, SI
	ADDQ $4, BX
	ADDQ $4, R9
	DECQ CX
	JNZ gemv4
	VMOVUPS Z4, (DX)
	VZEROUPPER
	RET

// BYTES is two rows of codes with a sign: 128 is added to each, and 128 times the sum of the inputs taken away after all.
#define BYTES(r) \
	VPXORD (64*r)(DI), Z12, Z8          \
	VPXORD (64*r+64)(DI), Z12, Z9       \
	DIGITS(r, Z8, Z0, Z1, Z2)           \
	DIGITS((r+1), Z9, Z5, Z6, Z7)

// func gemv8vnni(dst *float32, digits *int32, scales *float32, sums *int32, groups int, panel *byte)
TEXT ·gemv8vnni(SB), NOSPLIT, $0-48
	MOVQ dst+0(FP), DX
	MOVQ digits+8(FP), SI
	MOVQ scales+16(FP), R9
	MOVQ sums+24(FP), BX
	MOVQ groups+32(FP), CX
	MOVQ panel+40(FP), DI
	VPBROADCASTD signs<>(SB), Z12
	VPXORD Z4, Z4, Z4 // the result
gemv8:
	PREFETCHT0 2720(DI)
	PREFETCHT0 2784(DI)
	PREFETCHT0 2848(DI)
	PREFETCHT0 2912(DI)
	PREFETCHT0 2976(DI)
	PREFETCHT0 3040(DI)
	PREFETCHT0 3104(DI)
	PREFETCHT0 3168(DI)
	PREFETCHT0 3232(DI)
	NOSUMS
	BYTES(0)
	BYTES(2)
	BYTES(4)
	BYTES(6)
	BOTHSUMS
	VPBROADCASTD (BX), Z22
	VPSLLD $7, Z22, Z22
	VPSUBD Z22, Z0, Z0
	VCVTDQ2PS Z0, Z0
	VCVTPH2PS 512(DI), Z20
	VMULPS Z0, Z20, Z20
	VFMADD231PS.BCST (R9), Z20, Z4
	ADDQ $544, DI
	ADDQ $128, SI
	ADDQ $4, BX
	ADDQ $4, R9
	DECQ CX
	JNZ gemv8
	VMOVUPS Z4, (DX)
	VZEROUPPER
	RET

// WIDE writes the 16 weights of one input, scale times code plus minimum, and steps to the next one.
#define WIDE(code, to) \
	VFMADD213PS Z21, Z20, code \
	VMOVUPS code, (to)         \
	ADDQ R8, to

#define WIDENIBBLES(c) \
	VPERMPS Z12, c, Z16  \
	VPSRLD $4, c, c      \
	VPERMPS Z12, c, Z17  \
	VPSRLD $4, c, c      \
	WIDE(Z16, DX)        \
	WIDE(Z17, R9)

#define WIDEROW(at) \
	VMOVDQU32 at(DI), Z8 \
	WIDENIBBLES(Z8)      \
	WIDENIBBLES(Z8)      \
	WIDENIBBLES(Z8)      \
	WIDENIBBLES(Z8)

// func widen4avx512(dst *float32, stride, groups int, panel *byte)
TEXT ·widen4avx512(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DX
	MOVQ stride+8(FP), R8
	MOVQ groups+16(FP), CX
	MOVQ panel+24(FP), DI
	VMOVUPS sixteen<>(SB), Z12
	MOVQ R8, R10
	SHLQ $4, R10 // 16 inputs
widen4:
	LEAQ (DX)(R10*1), R9 // the second half of the group
	VCVTPH2PS 256(DI), Z20
	VCVTPH2PS 288(DI), Z21
	WIDEROW(0)
	WIDEROW(64)
	WIDEROW(128)
	WIDEROW(192)
	MOVQ R9, DX
	ADDQ $320, DI
	DECQ CX
	JNZ widen4
	VZEROUPPER
	RET

// func widen8avx512(dst *float32, stride, groups int, panel *byte)
TEXT ·widen8avx512(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DX
	MOVQ stride+8(FP), R8
	MOVQ groups+16(FP), CX
	MOVQ panel+24(FP), DI
	VPXORD Z21, Z21, Z21 // no minimum
widen8:
	VCVTPH2PS 512(DI), Z20
	MOVQ $8, AX
widen8row:
	VMOVDQU32 (DI), Z8
	VPSLLD $24, Z8, Z16
	VPSLLD $16, Z8, Z17
	VPSLLD $8, Z8, Z18
	VPSRAD $24, Z8, Z19
	VPSRAD $24, Z16, Z16
	VPSRAD $24, Z17, Z17
	VPSRAD $24, Z18, Z18
	VCVTDQ2PS Z16, Z16
	VCVTDQ2PS Z17, Z17
	VCVTDQ2PS Z18, Z18
	VCVTDQ2PS Z19, Z19
	WIDE(Z16, DX)
	WIDE(Z17, DX)
	WIDE(Z18, DX)
	WIDE(Z19, DX)
	ADDQ $64, DI
	DECQ AX
	JNZ widen8row
	ADDQ $32, DI
	DECQ CX
	JNZ widen8
	VZEROUPPER
	RET
