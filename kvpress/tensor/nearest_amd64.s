//go:build amd64 && !noasm

#include "textflag.h"

// func tileCodes512(a, b *uint32, pairs int, c *float32, cRow int)
//
// The twin is tileCodesGo. Each of 12 rows keeps its 32 sums in two registers, Z0 to Z23. A step takes 32 pairs of codes of
// b (Z24, Z25) and one pair of each row of a (Z26, Z27 in turn). cRow is in bytes.

#define PAIR(at, x, low, high) \
	VPBROADCASTD at(SI), x; \
	VPDPWSSD Z24, x, low; \
	VPDPWSSD Z25, x, high

#define STORE(low, high) \
	VCVTDQ2PS low, low; \
	VCVTDQ2PS high, high; \
	VMOVUPS low, (DX); \
	VMOVUPS high, 64(DX); \
	ADDQ R8, DX

TEXT ·tileCodes512(SB), NOSPLIT, $0-40
	MOVQ a+0(FP), SI
	MOVQ b+8(FP), DI
	MOVQ pairs+16(FP), CX
	MOVQ c+24(FP), DX
	MOVQ cRow+32(FP), R8
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
	VPXORD Z4, Z4, Z4
	VPXORD Z5, Z5, Z5
	VPXORD Z6, Z6, Z6
	VPXORD Z7, Z7, Z7
	VPXORD Z8, Z8, Z8
	VPXORD Z9, Z9, Z9
	VPXORD Z10, Z10, Z10
	VPXORD Z11, Z11, Z11
	VPXORD Z12, Z12, Z12
	VPXORD Z13, Z13, Z13
	VPXORD Z14, Z14, Z14
	VPXORD Z15, Z15, Z15
	VPXORD Z16, Z16, Z16
	VPXORD Z17, Z17, Z17
	VPXORD Z18, Z18, Z18
	VPXORD Z19, Z19, Z19
	VPXORD Z20, Z20, Z20
	VPXORD Z21, Z21, Z21
	VPXORD Z22, Z22, Z22
	VPXORD Z23, Z23, Z23
steps:
	VMOVDQU32 (DI), Z24
	VMOVDQU32 64(DI), Z25
	PAIR(0, Z26, Z0, Z1)
	PAIR(4, Z27, Z2, Z3)
	PAIR(8, Z26, Z4, Z5)
	PAIR(12, Z27, Z6, Z7)
	PAIR(16, Z26, Z8, Z9)
	PAIR(20, Z27, Z10, Z11)
	PAIR(24, Z26, Z12, Z13)
	PAIR(28, Z27, Z14, Z15)
	PAIR(32, Z26, Z16, Z17)
	PAIR(36, Z27, Z18, Z19)
	PAIR(40, Z26, Z20, Z21)
	PAIR(44, Z27, Z22, Z23)
	ADDQ $48, SI
	ADDQ $128, DI
	DECQ CX
	JNZ steps
	STORE(Z0, Z1)
	STORE(Z2, Z3)
	STORE(Z4, Z5)
	STORE(Z6, Z7)
	STORE(Z8, Z9)
	STORE(Z10, Z11)
	STORE(Z12, Z13)
	STORE(Z14, Z15)
	STORE(Z16, Z17)
	STORE(Z18, Z19)
	STORE(Z20, Z21)
	STORE(Z22, Z23)
	VZEROUPPER
	RET
