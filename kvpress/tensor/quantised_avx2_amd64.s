//go:build amd64 && !noasm

#include "textflag.h"

// What quantised_avx512_amd64.s does, with the 16 outputs of a panel in two registers. Every processor with AVX2 has
// the conversion of half-precision numbers too.

DATA fifteen<>+0(SB)/4, $15
GLOBL fifteen<>(SB), RODATA|NOPTR, $4

DATA nibbles<>+0(SB)/4, $0x0f0f0f0f
GLOBL nibbles<>(SB), RODATA|NOPTR, $4
DATA ones<>+0(SB)/8, $0x0001000100010001
DATA ones<>+8(SB)/8, $0x0001000100010001
DATA ones<>+16(SB)/8, $0x0001000100010001
DATA ones<>+24(SB)/8, $0x0001000100010001
GLOBL ones<>(SB), RODATA|NOPTR, $32

DATA most<>+0(SB)/4, $0x48f42400 // 500,000: fixedMost
GLOBL most<>(SB), RODATA|NOPTR, $4
DATA unsigned<>+0(SB)/4, $0x7fffffff
GLOBL unsigned<>(SB), RODATA|NOPTR, $4

// TOP leaves the largest of the four numbers of X in all of them, SUM their sum.
#define TOP(X, T) \
	VPSHUFD $0x4e, X, T \
	VPMAXUD T, X, X     \
	VPSHUFD $0xb1, X, T \
	VPMAXUD T, X, X

#define SUM(X, T) \
	VPSHUFD $0x4e, X, T \
	VPADDD T, X, X      \
	VPSHUFD $0xb1, X, T \
	VPADDD T, X, X

// SPREAD cuts eight integers into digits and puts digits of the same place of four neighbours together.
#define SPREAD(Y, at) \
	VPADDD Y13, Y, Y   \
	VPXOR Y13, Y, Y    \
	VPSHUFB Y14, Y, Y  \
	VMOVDQU Y, at(DI)

// func fix32(digits *int32, scales *float32, sums *int32, x *float32, groups int, half int32, order *[32]byte)
// Without their signs floating-point numbers are in the order of their bits, and what is not a number is the largest.
TEXT ·fix32(SB), NOSPLIT, $0-56
	MOVQ digits+0(FP), DI
	MOVQ scales+8(FP), R9
	MOVQ sums+16(FP), BX
	MOVQ x+24(FP), SI
	MOVQ groups+32(FP), CX
	MOVQ order+48(FP), AX
	MOVL half+40(FP), DX
	VMOVD DX, X13
	VPBROADCASTD X13, Y13
	VMOVDQU (AX), Y14
	VPBROADCASTD unsigned<>(SB), Y15
	VMOVSS most<>(SB), X12
fix:
	VMOVUPS (SI), Y0
	VMOVUPS 32(SI), Y1
	VMOVUPS 64(SI), Y2
	VMOVUPS 96(SI), Y3
	VPAND Y0, Y15, Y4
	VPAND Y1, Y15, Y5
	VPAND Y2, Y15, Y6
	VPAND Y3, Y15, Y7
	VPMAXUD Y5, Y4, Y4
	VPMAXUD Y7, Y6, Y6
	VPMAXUD Y6, Y4, Y4
	VEXTRACTI128 $1, Y4, X5
	VPMAXUD X5, X4, X4
	TOP(X4, X5)
	VDIVSS X12, X4, X6 // top / most
	VMOVSS X6, (R9)
	VDIVSS X4, X12, X7 // most / top
	VBROADCASTSS X7, Y7
	VMULPS Y7, Y0, Y0
	VMULPS Y7, Y1, Y1
	VMULPS Y7, Y2, Y2
	VMULPS Y7, Y3, Y3
	VCVTPS2DQ Y0, Y0
	VCVTPS2DQ Y1, Y1
	VCVTPS2DQ Y2, Y2
	VCVTPS2DQ Y3, Y3
	VPADDD Y1, Y0, Y4
	VPADDD Y3, Y2, Y5
	VPADDD Y5, Y4, Y4
	VEXTRACTI128 $1, Y4, X5
	VPADDD X5, X4, X4
	SUM(X4, X5)
	VMOVD X4, (BX)
	SPREAD(Y0, 0)
	SPREAD(Y1, 32)
	SPREAD(Y2, 64)
	SPREAD(Y3, 96)
	ADDQ $128, SI
	ADDQ $128, DI
	ADDQ $4, R9
	ADDQ $4, BX
	DECQ CX
	JNZ fix
	VZEROUPPER
	RET

// DIGIT2 adds the products of four codes of each output with one digit of their inputs to sums of 16 bits, of which each
// output has two: eight products of at most 2·15·128 fit.
#define DIGIT2(at, low, high, a, b) \
	VPBROADCASTD at(SI), Y10      \
	VPMADDUBSW Y10, low, Y11      \
	VPMADDUBSW Y10, high, Y12     \
	VPADDW Y11, a, a              \
	VPADDW Y12, b, b

#define NIBBLES2(r) \
	VMOVDQU (64*r)(DI), Y6               \
	VMOVDQU (64*r+32)(DI), Y7            \
	VPSRLW $4, Y6, Y8                    \
	VPSRLW $4, Y7, Y9                    \
	VPAND Y15, Y6, Y6                    \
	VPAND Y15, Y7, Y7                    \
	VPAND Y15, Y8, Y8                    \
	VPAND Y15, Y9, Y9                    \
	DIGIT2((16*r), Y6, Y7, Y0, Y1)       \
	DIGIT2((16*r+4), Y6, Y7, Y2, Y3)     \
	DIGIT2((16*r+8), Y6, Y7, Y4, Y5)     \
	DIGIT2((16*r+64), Y8, Y9, Y0, Y1)    \
	DIGIT2((16*r+68), Y8, Y9, Y2, Y3)    \
	DIGIT2((16*r+72), Y8, Y9, Y4, Y5)

// WHOLE2 puts the sums of the digits together: (c*256 + b)*256 + a, in a.
#define WHOLE2(a, b, c) \
	VPMADDWD ones<>(SB), a, a \
	VPMADDWD ones<>(SB), b, b \
	VPMADDWD ones<>(SB), c, c \
	VPSLLD $8, c, c           \
	VPADDD c, b, b            \
	VPSLLD $8, b, b           \
	VPADDD b, a, a

// func gemv4avx2(dst *float32, digits *int32, scales *float32, sums *int32, groups int, panel *byte)
TEXT ·gemv4avx2(SB), NOSPLIT, $0-48
	MOVQ dst+0(FP), DX
	MOVQ digits+8(FP), SI
	MOVQ scales+16(FP), R9
	MOVQ sums+24(FP), BX
	MOVQ groups+32(FP), CX
	MOVQ panel+40(FP), DI
	VPBROADCASTD nibbles<>(SB), Y15
	VXORPS Y13, Y13, Y13 // the results
	VXORPS Y14, Y14, Y14
gemv4:
	PREFETCHT0 2560(DI)
	PREFETCHT0 2624(DI)
	PREFETCHT0 2688(DI)
	PREFETCHT0 2752(DI)
	PREFETCHT0 2816(DI)
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	NIBBLES2(0)
	NIBBLES2(1)
	NIBBLES2(2)
	NIBBLES2(3)
	WHOLE2(Y0, Y2, Y4)
	WHOLE2(Y1, Y3, Y5)
	VCVTDQ2PS Y0, Y0
	VCVTDQ2PS Y1, Y1
	VPBROADCASTD (BX), Y2
	VCVTDQ2PS Y2, Y2
	VCVTPH2PS 256(DI), Y6
	VCVTPH2PS 272(DI), Y7
	VCVTPH2PS 288(DI), Y8
	VCVTPH2PS 304(DI), Y9
	VMULPS Y2, Y8, Y8
	VMULPS Y2, Y9, Y9
	VFMADD231PS Y0, Y6, Y8
	VFMADD231PS Y1, Y7, Y9
	VBROADCASTSS (R9), Y2
	VFMADD231PS Y2, Y8, Y13
	VFMADD231PS Y2, Y9, Y14
	ADDQ $320, DI
	ADDQ $128, SI
	ADDQ $4, BX
	ADDQ $4, R9
	DECQ CX
	JNZ gemv4
	VMOVUPS Y13, (DX)
	VMOVUPS Y14, 32(DX)
	VZEROUPPER
	RET

// BYTES2 adds the products of four codes of four outputs with the two digits of their inputs, of 16 bits here, in Y8 and
// Y9, to two sums of each output.
#define BYTES2(at, a, b) \
	VPMOVSXBW at(DI), Y10  \
	VPMADDWD Y8, Y10, Y11  \
	VPMADDWD Y9, Y10, Y10  \
	VPADDD Y11, a, a       \
	VPADDD Y10, b, b

#define BYTEROW2(r) \
	VPBROADCASTQ (16*r)(SI), Y8    \
	VPBROADCASTQ (16*r+8)(SI), Y9  \
	BYTES2((64*r), Y0, Y4)         \
	BYTES2((64*r+16), Y1, Y5)      \
	BYTES2((64*r+32), Y2, Y6)      \
	BYTES2((64*r+48), Y3, Y7)

// EIGHT2 makes the sums of eight outputs of those of four and four: b*65536 + a, both halves of each output added up.
#define EIGHT2(a0, b0, a1, b1) \
	VPSLLD $16, b0, b0       \
	VPSLLD $16, b1, b1       \
	VPADDD b0, a0, a0        \
	VPADDD b1, a1, a1        \
	VPHADDD a1, a0, a0       \
	VPERMQ $0xd8, a0, a0     \
	VCVTDQ2PS a0, a0

// func gemv8avx2(dst *float32, digits *int32, scales *float32, sums *int32, groups int, panel *byte)
TEXT ·gemv8avx2(SB), NOSPLIT, $0-48
	MOVQ dst+0(FP), DX
	MOVQ digits+8(FP), SI
	MOVQ scales+16(FP), R9
	MOVQ groups+32(FP), CX
	MOVQ panel+40(FP), DI
	VXORPS Y13, Y13, Y13 // the results
	VXORPS Y14, Y14, Y14
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
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7
	BYTEROW2(0)
	BYTEROW2(1)
	BYTEROW2(2)
	BYTEROW2(3)
	BYTEROW2(4)
	BYTEROW2(5)
	BYTEROW2(6)
	BYTEROW2(7)
	EIGHT2(Y0, Y4, Y1, Y5)
	EIGHT2(Y2, Y6, Y3, Y7)
	VCVTPH2PS 512(DI), Y9
	VCVTPH2PS 528(DI), Y10
	VMULPS Y0, Y9, Y9
	VMULPS Y2, Y10, Y10
	VBROADCASTSS (R9), Y8
	VFMADD231PS Y8, Y9, Y13
	VFMADD231PS Y8, Y10, Y14
	ADDQ $544, DI
	ADDQ $128, SI
	ADDQ $4, R9
	DECQ CX
	JNZ gemv8
	VMOVUPS Y13, (DX)
	VMOVUPS Y14, 32(DX)
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
