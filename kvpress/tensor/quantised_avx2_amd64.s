//go:build amd64 && !noasm

#include "textflag.h"

// What quantised_avx512_amd64.s does, with the 16 outputs of a panel in two registers. Every processor with AVX2 has
// the conversion of half-precision numbers too.

DATA fifteen<>+0(SB)/4, $15
GLOBL fifteen<>(SB), RODATA|NOPTR, $4

// NIBBLE2 adds the product of input number i of the group with the codes in the low 4 bits of Y6 and Y7 to two sums,
// and moves the next ones there.
#define NIBBLE2(i, low, high) \
	VBROADCASTSS (4*i)(SI), Y8      \
	VPAND Y6, Y15, Y9               \
	VPAND Y7, Y15, Y10              \
	VCVTDQ2PS Y9, Y9                \
	VCVTDQ2PS Y10, Y10              \
	VPSRLD $4, Y6, Y6               \
	VPSRLD $4, Y7, Y7               \
	VFMADD231PS Y9, Y8, low         \
	VFMADD231PS Y10, Y8, high

#define NIBBLES2(r) \
	VMOVDQU (64*r)(DI), Y6       \
	VMOVDQU (64*r+32)(DI), Y7    \
	NIBBLE2((4*r), Y0, Y1)       \
	NIBBLE2((4*r+16), Y2, Y3)    \
	NIBBLE2((4*r+1), Y0, Y1)     \
	NIBBLE2((4*r+17), Y2, Y3)    \
	NIBBLE2((4*r+2), Y0, Y1)     \
	NIBBLE2((4*r+18), Y2, Y3)    \
	NIBBLE2((4*r+3), Y0, Y1)     \
	NIBBLE2((4*r+19), Y2, Y3)

// func gemv4avx2(dst, x, sums *float32, groups int, panel *byte)
TEXT ·gemv4avx2(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DX
	MOVQ x+8(FP), SI
	MOVQ sums+16(FP), BX
	MOVQ groups+24(FP), CX
	MOVQ panel+32(FP), DI
	VPBROADCASTD fifteen<>(SB), Y15
	VXORPS Y4, Y4, Y4 // the results
	VXORPS Y5, Y5, Y5
gemv4:
	PREFETCHT0 1280(DI)
	PREFETCHT0 1344(DI)
	PREFETCHT0 1408(DI)
	PREFETCHT0 1472(DI)
	PREFETCHT0 1536(DI)
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	NIBBLES2(0)
	NIBBLES2(1)
	NIBBLES2(2)
	NIBBLES2(3)
	VADDPS Y2, Y0, Y0
	VADDPS Y3, Y1, Y1
	VCVTPH2PS 256(DI), Y9
	VCVTPH2PS 272(DI), Y10
	VFMADD231PS Y0, Y9, Y4
	VFMADD231PS Y1, Y10, Y5
	VBROADCASTSS (BX), Y8
	VCVTPH2PS 288(DI), Y9
	VCVTPH2PS 304(DI), Y10
	VFMADD231PS Y8, Y9, Y4
	VFMADD231PS Y8, Y10, Y5
	ADDQ $320, DI
	ADDQ $128, SI
	ADDQ $4, BX
	DECQ CX
	JNZ gemv4
	VMOVUPS Y4, (DX)
	VMOVUPS Y5, 32(DX)
	VZEROUPPER
	RET

// BYTE2 adds the products of input number i with the codes whose sign lies up bits below the top.
#define BYTE2(i, up, low, high) \
	VBROADCASTSS (4*i)(SI), Y8   \
	VPSLLD $up, Y6, Y9           \
	VPSLLD $up, Y7, Y10          \
	VPSRAD $24, Y9, Y9           \
	VPSRAD $24, Y10, Y10         \
	VCVTDQ2PS Y9, Y9             \
	VCVTDQ2PS Y10, Y10           \
	VFMADD231PS Y9, Y8, low      \
	VFMADD231PS Y10, Y8, high

#define BYTES2(r) \
	VMOVDQU (64*r)(DI), Y6        \
	VMOVDQU (64*r+32)(DI), Y7     \
	BYTE2((4*r), 24, Y0, Y1)      \
	BYTE2((4*r+1), 16, Y2, Y3)    \
	BYTE2((4*r+2), 8, Y0, Y1)     \
	BYTE2((4*r+3), 0, Y2, Y3)

// func gemv8avx2(dst, x *float32, groups int, panel *byte)
TEXT ·gemv8avx2(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DX
	MOVQ x+8(FP), SI
	MOVQ groups+16(FP), CX
	MOVQ panel+24(FP), DI
	VXORPS Y4, Y4, Y4 // the results
	VXORPS Y5, Y5, Y5
gemv8:
	PREFETCHT0 1632(DI)
	PREFETCHT0 1696(DI)
	PREFETCHT0 1760(DI)
	PREFETCHT0 1824(DI)
	PREFETCHT0 1888(DI)
	PREFETCHT0 1952(DI)
	PREFETCHT0 2016(DI)
	PREFETCHT0 2080(DI)
	PREFETCHT0 2144(DI)
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	BYTES2(0)
	BYTES2(1)
	BYTES2(2)
	BYTES2(3)
	BYTES2(4)
	BYTES2(5)
	BYTES2(6)
	BYTES2(7)
	VADDPS Y2, Y0, Y0
	VADDPS Y3, Y1, Y1
	VCVTPH2PS 512(DI), Y9
	VCVTPH2PS 528(DI), Y10
	VFMADD231PS Y0, Y9, Y4
	VFMADD231PS Y1, Y10, Y5
	ADDQ $544, DI
	ADDQ $128, SI
	DECQ CX
	JNZ gemv8
	VMOVUPS Y4, (DX)
	VMOVUPS Y5, 32(DX)
	VZEROUPPER
	RET

// WIDE2 writes the 16 weights of one input, scale times code plus minimum, and steps to the next one.
#define WIDE2(to) \
	VCVTDQ2PS Y9, Y9                 \
	VCVTDQ2PS Y10, Y10               \
	VFMADD213PS Y13, Y11, Y9         \
	VFMADD213PS Y14, Y12, Y10        \
	VMOVUPS Y9, (to)                 \
	VMOVUPS Y10, 32(to)              \
	ADDQ R8, to

#define WIDENIBBLE2(to) \
	VPAND Y6, Y15, Y9  \
	VPAND Y7, Y15, Y10 \
	VPSRLD $4, Y6, Y6  \
	VPSRLD $4, Y7, Y7  \
	WIDE2(to)

// func widen4avx2(dst *float32, stride, groups int, panel *byte)
TEXT ·widen4avx2(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DX
	MOVQ stride+8(FP), R8
	MOVQ groups+16(FP), CX
	MOVQ panel+24(FP), DI
	VPBROADCASTD fifteen<>(SB), Y15
	MOVQ R8, R10
	SHLQ $4, R10 // 16 inputs
widen4:
	LEAQ (DX)(R10*1), R9 // the second half of the group
	VCVTPH2PS 256(DI), Y11
	VCVTPH2PS 272(DI), Y12
	VCVTPH2PS 288(DI), Y13
	VCVTPH2PS 304(DI), Y14
	MOVQ $4, AX
widen4row:
	VMOVDQU (DI), Y6
	VMOVDQU 32(DI), Y7
	WIDENIBBLE2(DX)
	WIDENIBBLE2(R9)
	WIDENIBBLE2(DX)
	WIDENIBBLE2(R9)
	WIDENIBBLE2(DX)
	WIDENIBBLE2(R9)
	WIDENIBBLE2(DX)
	WIDENIBBLE2(R9)
	ADDQ $64, DI
	DECQ AX
	JNZ widen4row
	MOVQ R9, DX
	ADDQ $64, DI
	DECQ CX
	JNZ widen4
	VZEROUPPER
	RET

#define WIDEBYTE2(up) \
	VPSLLD $up, Y6, Y9   \
	VPSLLD $up, Y7, Y10  \
	VPSRAD $24, Y9, Y9   \
	VPSRAD $24, Y10, Y10 \
	WIDE2(DX)

// func widen8avx2(dst *float32, stride, groups int, panel *byte)
TEXT ·widen8avx2(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DX
	MOVQ stride+8(FP), R8
	MOVQ groups+16(FP), CX
	MOVQ panel+24(FP), DI
	VXORPS Y13, Y13, Y13 // no minima
	VXORPS Y14, Y14, Y14
widen8:
	VCVTPH2PS 512(DI), Y11
	VCVTPH2PS 528(DI), Y12
	MOVQ $8, AX
widen8row:
	VMOVDQU (DI), Y6
	VMOVDQU 32(DI), Y7
	WIDEBYTE2(24)
	WIDEBYTE2(16)
	WIDEBYTE2(8)
	WIDEBYTE2(0)
	ADDQ $64, DI
	DECQ AX
	JNZ widen8row
	ADDQ $32, DI
	DECQ CX
	JNZ widen8
	VZEROUPPER
	RET

// func unpack8avx2(dst *float32, code *byte, n int, low, step float32)
// A product and a sum, each rounded, as in Go: what is packed again must not change.
TEXT ·unpack8avx2(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DX
	MOVQ code+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS low+24(FP), Y1
	VBROADCASTSS step+28(FP), Y2
unpack8:
	VPMOVZXBD (SI), Y0
	VCVTDQ2PS Y0, Y0
	VMULPS Y2, Y0, Y0
	VADDPS Y1, Y0, Y0
	VMOVUPS Y0, (DX)
	ADDQ $8, SI
	ADDQ $32, DX
	SUBQ $8, CX
	JNZ unpack8
	VZEROUPPER
	RET
