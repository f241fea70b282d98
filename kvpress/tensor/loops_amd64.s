//go:build amd64 && !noasm

#include "textflag.h"

// Every function has a twin in loops.go that says what it computes.

// func dot8(a, b *float32, n int) float32
TEXT ·dot8(SB), NOSPLIT, $0-28
	MOVQ a+0(FP), SI
	MOVQ b+8(FP), DI
	MOVQ n+16(FP), CX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
dot32:
	CMPQ CX, $32
	JL dottail
	VMOVUPS (SI), Y4
	VMOVUPS 32(SI), Y5
	VMOVUPS 64(SI), Y6
	VMOVUPS 96(SI), Y7
	VFMADD231PS (DI), Y4, Y0
	VFMADD231PS 32(DI), Y5, Y1
	VFMADD231PS 64(DI), Y6, Y2
	VFMADD231PS 96(DI), Y7, Y3
	ADDQ $128, SI
	ADDQ $128, DI
	SUBQ $32, CX
	JMP dot32
dottail:
	TESTQ CX, CX
	JZ dotsum
	VMOVUPS (SI), Y4
	VFMADD231PS (DI), Y4, Y0
	ADDQ $32, SI
	ADDQ $32, DI
	SUBQ $8, CX
	JMP dottail
dotsum:
	VADDPS Y1, Y0, Y0
	VADDPS Y3, Y2, Y2
	VADDPS Y2, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VADDPS X1, X0, X0
	VHADDPS X0, X0, X0
	VHADDPS X0, X0, X0
	VMOVSS X0, ret+24(FP)
	VZEROUPPER
	RET

// func addScaled8(dst *float32, s float32, x *float32, n int)
TEXT ·addScaled8(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	VBROADCASTSS s+8(FP), Y0
	MOVQ x+16(FP), SI
	MOVQ n+24(FP), CX
scaled:
	VMOVUPS (SI), Y1
	VMOVUPS (DI), Y2
	VFMADD231PS Y1, Y0, Y2
	VMOVUPS Y2, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ scaled
	VZEROUPPER
	RET

// func widen16(dst *float32, src *uint16, n int)
TEXT ·widen16(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
widen:
	VPMOVZXWD (SI), Y0
	VPMOVZXWD 16(SI), Y1
	VPSLLD $16, Y0, Y0
	VPSLLD $16, Y1, Y1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ $32, SI
	ADDQ $64, DI
	SUBQ $16, CX
	JNZ widen
	VZEROUPPER
	RET

// func add8(dst, x *float32, n int)
TEXT ·add8(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), CX
add:
	VMOVUPS (DI), Y0
	VADDPS (SI), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ add
	VZEROUPPER
	RET

// func scale8(x *float32, s float32, n int)
TEXT ·scale8(SB), NOSPLIT, $0-24
	MOVQ x+0(FP), DI
	VBROADCASTSS s+8(FP), Y0
	MOVQ n+16(FP), CX
scale:
	VMULPS (DI), Y0, Y1
	VMOVUPS Y1, (DI)
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ scale
	VZEROUPPER
	RET

// func scaleBy8(dst, x *float32, s float32, weight *float32, n int)
TEXT ·scaleBy8(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	VBROADCASTSS s+16(FP), Y0
	MOVQ weight+24(FP), DX
	MOVQ n+32(FP), CX
scaleBy:
	VMULPS (SI), Y0, Y1
	VMULPS (DX), Y1, Y1
	VMOVUPS Y1, (DI)
	ADDQ $32, SI
	ADDQ $32, DX
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ scaleBy
	VZEROUPPER
	RET

// func max8(x *float32, n int) float32
// VMAXPS passes over what is not a number: Y1 notes where there was such.
TEXT ·max8(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VMOVUPS (SI), Y0
	VXORPS Y1, Y1, Y1
max:
	VMOVUPS (SI), Y2
	VCMPPS $3, Y2, Y2, Y3
	VORPS Y3, Y1, Y1
	VMAXPS Y2, Y0, Y0
	ADDQ $32, SI
	SUBQ $8, CX
	JNZ max
	VORPS Y1, Y0, Y0 // all ones is not a number either
	VEXTRACTF128 $1, Y0, X1
	VCMPPS $3, X1, X0, X3
	VMAXPS X1, X0, X0
	VORPS X3, X0, X0
	VPERMILPS $14, X0, X1
	VCMPPS $3, X1, X0, X3
	VMAXPS X1, X0, X0
	VORPS X3, X0, X0
	VPERMILPS $1, X0, X1
	VCMPPS $3, X1, X0, X3
	VMAXPS X1, X0, X0
	VORPS X3, X0, X0
	VMOVSS X0, ret+16(FP)
	VZEROUPPER
	RET

// func max32(x *float32, n int) float32
// max8 with AVX-512: K1 and K2 tell where there was no number.
TEXT ·max32(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VMOVUPS (SI), Z0
	VMOVUPS 64(SI), Z1
	KXORW K2, K2, K2
max:
	VMOVUPS (SI), Z2
	VMOVUPS 64(SI), Z3
	VMAXPS Z2, Z0, Z0
	VMAXPS Z3, Z1, Z1
	VCMPPS $3, Z2, Z3, K1
	KORW K1, K2, K2
	ADDQ $128, SI
	SUBQ $32, CX
	JNZ max
	VMAXPS Z1, Z0, Z0
	VEXTRACTF64X4 $1, Z0, Y1
	VMAXPS Y1, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VMAXPS X1, X0, X0
	VPERMILPS $14, X0, X1
	VMAXPS X1, X0, X0
	VPERMILPS $1, X0, X1
	VMAXPS X1, X0, X0
	KTESTW K2, K2
	JZ most
	VPCMPEQD X0, X0, X0 // all ones is not a number
most:
	VMOVSS X0, ret+16(FP)
	VZEROUPPER
	RET

// func pause()
TEXT ·pause(SB), NOSPLIT, $0-0
	PAUSE
	PAUSE
	RET

// func transpose8(dst *float32, dstRow int, src *float32, srcRow, n int)
// Eight rows of src, n numbers each, become n rows of dst, eight numbers each; distances in bytes. Pairs of rows are
// woven together, then pairs of pairs, then the two halves of the registers.
TEXT ·transpose8(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ dstRow+8(FP), R8
	MOVQ src+16(FP), SI
	MOVQ srcRow+24(FP), R9
	MOVQ n+32(FP), CX
	LEAQ (R9)(R9*2), R10
	LEAQ (R8)(R8*2), R11
transpose:
	LEAQ (SI)(R9*4), DX
	VMOVUPS (SI), Y0
	VMOVUPS (SI)(R9*1), Y1
	VMOVUPS (SI)(R9*2), Y2
	VMOVUPS (SI)(R10*1), Y3
	VMOVUPS (DX), Y4
	VMOVUPS (DX)(R9*1), Y5
	VMOVUPS (DX)(R9*2), Y6
	VMOVUPS (DX)(R10*1), Y7
	VUNPCKLPS Y1, Y0, Y8
	VUNPCKHPS Y1, Y0, Y9
	VUNPCKLPS Y3, Y2, Y10
	VUNPCKHPS Y3, Y2, Y11
	VUNPCKLPS Y5, Y4, Y12
	VUNPCKHPS Y5, Y4, Y13
	VUNPCKLPS Y7, Y6, Y14
	VUNPCKHPS Y7, Y6, Y15
	VUNPCKLPD Y10, Y8, Y0
	VUNPCKHPD Y10, Y8, Y1
	VUNPCKLPD Y11, Y9, Y2
	VUNPCKHPD Y11, Y9, Y3
	VUNPCKLPD Y14, Y12, Y4
	VUNPCKHPD Y14, Y12, Y5
	VUNPCKLPD Y15, Y13, Y6
	VUNPCKHPD Y15, Y13, Y7
	VPERM2F128 $0x20, Y4, Y0, Y8
	VPERM2F128 $0x20, Y5, Y1, Y9
	VPERM2F128 $0x20, Y6, Y2, Y10
	VPERM2F128 $0x20, Y7, Y3, Y11
	VPERM2F128 $0x31, Y4, Y0, Y12
	VPERM2F128 $0x31, Y5, Y1, Y13
	VPERM2F128 $0x31, Y6, Y2, Y14
	VPERM2F128 $0x31, Y7, Y3, Y15
	LEAQ (DI)(R8*4), DX
	VMOVUPS Y8, (DI)
	VMOVUPS Y9, (DI)(R8*1)
	VMOVUPS Y10, (DI)(R8*2)
	VMOVUPS Y11, (DI)(R11*1)
	VMOVUPS Y12, (DX)
	VMOVUPS Y13, (DX)(R8*1)
	VMOVUPS Y14, (DX)(R8*2)
	VMOVUPS Y15, (DX)(R11*1)
	LEAQ (DI)(R8*8), DI
	ADDQ $32, SI
	SUBQ $8, CX
	JNZ transpose
	VZEROUPPER
	RET

// func rotate8(low, high, cos, sin *float32, n int, cosScale, sinScale float32)
// Products and sums are rounded one by one, as in the twin.
TEXT ·rotate8(SB), NOSPLIT, $0-48
	MOVQ low+0(FP), DI
	MOVQ high+8(FP), SI
	MOVQ cos+16(FP), R8
	MOVQ sin+24(FP), R9
	MOVQ n+32(FP), CX
	VBROADCASTSS cosScale+40(FP), Y14
	VBROADCASTSS sinScale+44(FP), Y15
rotate:
	VMULPS (R8), Y14, Y0
	VMULPS (R9), Y15, Y1
	VMOVUPS (DI), Y2
	VMOVUPS (SI), Y3
	VMULPS Y0, Y2, Y4
	VMULPS Y1, Y3, Y5
	VSUBPS Y5, Y4, Y4
	VMULPS Y0, Y3, Y6
	VMULPS Y1, Y2, Y7
	VADDPS Y7, Y6, Y6
	VMOVUPS Y4, (DI)
	VMOVUPS Y6, (SI)
	ADDQ $32, DI
	ADDQ $32, SI
	ADDQ $32, R8
	ADDQ $32, R9
	SUBQ $8, CX
	JNZ rotate
	VZEROUPPER
	RET

// func absSum16(x *float32, n int) float32
TEXT ·absSum16(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VPCMPEQD Y3, Y3, Y3
	VPSRLD $1, Y3, Y3 // all but the sign
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
absSum:
	VANDPS (SI), Y3, Y4
	VADDPS Y4, Y0, Y0
	VANDPS 32(SI), Y3, Y5
	VADDPS Y5, Y1, Y1
	ADDQ $64, SI
	SUBQ $16, CX
	JNZ absSum
	VADDPS Y1, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VADDPS X1, X0, X0
	VHADDPS X0, X0, X0
	VHADDPS X0, X0, X0
	VMOVSS X0, ret+16(FP)
	VZEROUPPER
	RET

// func addSquares32(sum, k *float32, n int)
// Squares and sums are rounded one by one, as in the twin: equal keys must have equal norms on every machine.
TEXT ·addSquares32(SB), NOSPLIT, $0-24
	MOVQ sum+0(FP), DI
	MOVQ k+8(FP), SI
	MOVQ n+16(FP), CX
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VMOVUPS 64(DI), Y2
	VMOVUPS 96(DI), Y3
squares:
	VMOVUPS (SI), Y4
	VMOVUPS 32(SI), Y5
	VMOVUPS 64(SI), Y6
	VMOVUPS 96(SI), Y7
	VMULPS Y4, Y4, Y4
	VMULPS Y5, Y5, Y5
	VMULPS Y6, Y6, Y6
	VMULPS Y7, Y7, Y7
	VADDPS Y4, Y0, Y0
	VADDPS Y5, Y1, Y1
	VADDPS Y6, Y2, Y2
	VADDPS Y7, Y3, Y3
	ADDQ $128, SI
	DECQ CX
	JNZ squares
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	VZEROUPPER
	RET
