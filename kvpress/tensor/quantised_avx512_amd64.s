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

// NIBBLE adds the product of input number i of the group with the codes in the low 4 bits of c to sum, and moves the next ones there.
#define NIBBLE(i, c, t, sum) \
	VPERMPS Z12, c, t                     \
	VPSRLD $4, c, c                       \
	VFMADD231PS.BCST (4*i)(SI), t, sum

// A dword holds the inputs 4r to 4r+3 in the low halves of its bytes and 16+4r to 16+4r+3 in the high ones.
#define NIBBLES(r, c) \
	NIBBLE((4*r), c, Z16, Z0)    \
	NIBBLE((4*r+16), c, Z17, Z1) \
	NIBBLE((4*r+1), c, Z18, Z2)  \
	NIBBLE((4*r+17), c, Z19, Z3) \
	NIBBLE((4*r+2), c, Z16, Z0)  \
	NIBBLE((4*r+18), c, Z17, Z1) \
	NIBBLE((4*r+3), c, Z18, Z2)  \
	NIBBLE((4*r+19), c, Z19, Z3)

// func gemv4avx512(dst, x, sums *float32, groups int, panel *byte)
TEXT ·gemv4avx512(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DX
	MOVQ x+8(FP), SI
	MOVQ sums+16(FP), BX
	MOVQ groups+24(FP), CX
	MOVQ panel+32(FP), DI
	VMOVUPS sixteen<>(SB), Z12
	VPXORD Z4, Z4, Z4 // the result
gemv4:
	VMOVDQU32 (DI), Z8
	VMOVDQU32 64(DI), Z9
	VMOVDQU32 128(DI), Z10
	VMOVDQU32 192(DI), Z11
	PREFETCHT0 1280(DI)
	PREFETCHT0 1344(DI)
	PREFETCHT0 1408(DI)
	PREFETCHT0 1472(DI)
	PREFETCHT0 1536(DI)
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
	NIBBLES(0, Z8)
	NIBBLES(1, Z9)
	NIBBLES(2, Z10)
	NIBBLES(3, Z11)
	VADDPS Z1, Z0, Z0
	VADDPS Z3, Z2, Z2
	VADDPS Z2, Z0, Z0
	VCVTPH2PS 256(DI), Z20
	VCVTPH2PS 288(DI), Z21
	VFMADD231PS Z0, Z20, Z4
	VFMADD231PS.BCST (BX), Z21, Z4
	ADDQ $320, DI
	ADDQ $128, SI
	ADDQ $4, BX
	DECQ CX
	JNZ gemv4
	VMOVUPS Z4, (DX)
	VZEROUPPER
	RET

// BYTES adds the products of four inputs with the codes in c to Z0 to Z3.
#define BYTES(r, c) \
	VPSLLD $24, c, Z16                            \
	VPSLLD $16, c, Z17                            \
	VPSLLD $8, c, Z18                             \
	VPSRAD $24, c, Z19                            \
	VPSRAD $24, Z16, Z16                          \
	VPSRAD $24, Z17, Z17                          \
	VPSRAD $24, Z18, Z18                          \
	VCVTDQ2PS Z16, Z16                            \
	VCVTDQ2PS Z17, Z17                            \
	VCVTDQ2PS Z18, Z18                            \
	VCVTDQ2PS Z19, Z19                            \
	VFMADD231PS.BCST (16*r)(SI), Z16, Z0     \
	VFMADD231PS.BCST (16*r+4)(SI), Z17, Z1   \
	VFMADD231PS.BCST (16*r+8)(SI), Z18, Z2   \
	VFMADD231PS.BCST (16*r+12)(SI), Z19, Z3

// func gemv8avx512(dst, x *float32, groups int, panel *byte)
TEXT ·gemv8avx512(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DX
	MOVQ x+8(FP), SI
	MOVQ groups+16(FP), CX
	MOVQ panel+24(FP), DI
	VPXORD Z4, Z4, Z4 // the result
gemv8:
	VMOVDQU32 (DI), Z8
	VMOVDQU32 64(DI), Z9
	VMOVDQU32 128(DI), Z10
	VMOVDQU32 192(DI), Z11
	VMOVDQU32 256(DI), Z12
	VMOVDQU32 320(DI), Z13
	VMOVDQU32 384(DI), Z14
	VMOVDQU32 448(DI), Z15
	PREFETCHT0 1632(DI)
	PREFETCHT0 1696(DI)
	PREFETCHT0 1760(DI)
	PREFETCHT0 1824(DI)
	PREFETCHT0 1888(DI)
	PREFETCHT0 1952(DI)
	PREFETCHT0 2016(DI)
	PREFETCHT0 2080(DI)
	PREFETCHT0 2144(DI)
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
	BYTES(0, Z8)
	BYTES(1, Z9)
	BYTES(2, Z10)
	BYTES(3, Z11)
	BYTES(4, Z12)
	BYTES(5, Z13)
	BYTES(6, Z14)
	BYTES(7, Z15)
	VADDPS Z1, Z0, Z0
	VADDPS Z3, Z2, Z2
	VADDPS Z2, Z0, Z0
	VCVTPH2PS 512(DI), Z20
	VFMADD231PS Z0, Z20, Z4
	ADDQ $544, DI
	ADDQ $128, SI
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
