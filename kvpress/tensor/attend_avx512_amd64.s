//go:build amd64 && !noasm

#include "textflag.h"

// Attention of few queries, up to four, over pages that come from memory: what a tile computes, in its order, while what
// is wanted next is fetched into the second cache, step by step. A page lies alone in memory, and the processor does not
// guess where the next one is. The twins are keysGo and valuesGo in attend.go.

// func keys4avx512(dst *float32, dstRow int, q *float32, qRow, dim, rows int, k, ahead, then *float32)
// A step is one channel: its 32 keys in Z8 and Z9, and two lines of each place ahead. Distances are in bytes.
#define SCORE(q, low, high) \
	VBROADCASTSS q, Z10; \
	VFMADD231PS Z8, Z10, low; \
	VFMADD231PS Z9, Z10, high

#define SCORES1 SCORE((SI), Z0, Z1)
#define SCORES2 SCORES1; SCORE((SI)(R8*1), Z2, Z3)
#define SCORES3 SCORES2; SCORE((SI)(R8*2), Z4, Z5)
#define SCORES4 SCORES3; SCORE((SI)(R9*1), Z6, Z7)

#define KEYSTEPS(name, scores) \
name: \
	VMOVUPS (DI), Z8; \
	VMOVUPS 64(DI), Z9; \
	PREFETCHT1 (BX); \
	PREFETCHT1 64(BX); \
	PREFETCHT1 (R11); \
	PREFETCHT1 64(R11); \
	scores; \
	ADDQ $128, DI; \
	ADDQ $128, BX; \
	ADDQ $128, R11; \
	ADDQ $4, SI; \
	DECQ CX; \
	JNZ name; \
	JMP keysend

#define PUTSCORES(low, high) \
	VMOVUPS low, (DX); \
	VMOVUPS high, 64(DX); \
	ADDQ R10, DX; \
	DECQ AX; \
	JZ keysdone

TEXT ·keys4avx512(SB), NOSPLIT, $0-72
	MOVQ dst+0(FP), DX
	MOVQ dstRow+8(FP), R10
	MOVQ q+16(FP), SI
	MOVQ qRow+24(FP), R8
	MOVQ dim+32(FP), CX
	MOVQ rows+40(FP), AX
	MOVQ k+48(FP), DI
	MOVQ ahead+56(FP), BX
	MOVQ then+64(FP), R11
	LEAQ (R8)(R8*2), R9
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
	VPXORD Z4, Z4, Z4
	VPXORD Z5, Z5, Z5
	VPXORD Z6, Z6, Z6
	VPXORD Z7, Z7, Z7
	CMPQ AX, $4
	JEQ keys4
	CMPQ AX, $3
	JEQ keys3
	CMPQ AX, $2
	JEQ keys2
	KEYSTEPS(keys1, SCORES1)
	KEYSTEPS(keys2, SCORES2)
	KEYSTEPS(keys3, SCORES3)
	KEYSTEPS(keys4, SCORES4)
keysend:
	PUTSCORES(Z0, Z1)
	PUTSCORES(Z2, Z3)
	PUTSCORES(Z4, Z5)
	PUTSCORES(Z6, Z7)
keysdone:
	VZEROUPPER
	RET

// func values4avx512(dst *float32, dstRow int, weights *float32, weightsRow, pairs, rows int, v *float32, vRow int, ahead *float32, add bool)
// A step is one pair: 64 numbers of its value in Z16 to Z19, and four lines of what lies ahead. Distances are in bytes.
#define SUM(weight, a, b, c, d) \
	VBROADCASTSS weight, Z20; \
	VFMADD231PS Z16, Z20, a; \
	VFMADD231PS Z17, Z20, b; \
	VFMADD231PS Z18, Z20, c; \
	VFMADD231PS Z19, Z20, d

#define SUMS1 SUM((SI), Z0, Z1, Z2, Z3)
#define SUMS2 SUMS1; SUM((SI)(R8*1), Z4, Z5, Z6, Z7)
#define SUMS3 SUMS2; SUM((SI)(R8*2), Z8, Z9, Z10, Z11)
#define SUMS4 SUMS3; SUM((SI)(R9*1), Z12, Z13, Z14, Z15)

#define VALUESTEPS(name, sums) \
name: \
	VMOVUPS (DI), Z16; \
	VMOVUPS 64(DI), Z17; \
	VMOVUPS 128(DI), Z18; \
	VMOVUPS 192(DI), Z19; \
	PREFETCHT1 (BX); \
	PREFETCHT1 64(BX); \
	PREFETCHT1 128(BX); \
	PREFETCHT1 192(BX); \
	sums; \
	ADDQ R11, DI; \
	ADDQ R11, BX; \
	ADDQ $4, SI; \
	DECQ CX; \
	JNZ name; \
	JMP valuesend

#define GETSUMS(a, b, c, d) \
	VMOVUPS (DX), a; \
	VMOVUPS 64(DX), b; \
	VMOVUPS 128(DX), c; \
	VMOVUPS 192(DX), d; \
	ADDQ R10, DX; \
	DECQ R12; \
	JZ valuesbegin

#define PUTSUMS(a, b, c, d) \
	VMOVUPS a, (DX); \
	VMOVUPS b, 64(DX); \
	VMOVUPS c, 128(DX); \
	VMOVUPS d, 192(DX); \
	ADDQ R10, DX; \
	DECQ AX; \
	JZ valuesdone

TEXT ·values4avx512(SB), NOSPLIT, $0-73
	MOVQ dst+0(FP), DX
	MOVQ dstRow+8(FP), R10
	MOVQ weights+16(FP), SI
	MOVQ weightsRow+24(FP), R8
	MOVQ pairs+32(FP), CX
	MOVQ rows+40(FP), AX
	MOVQ v+48(FP), DI
	MOVQ vRow+56(FP), R11
	MOVQ ahead+64(FP), BX
	LEAQ (R8)(R8*2), R9
	MOVBLZX add+72(FP), R13
	TESTL R13, R13
	JZ valuesfresh
	MOVQ AX, R12
	GETSUMS(Z0, Z1, Z2, Z3)
	GETSUMS(Z4, Z5, Z6, Z7)
	GETSUMS(Z8, Z9, Z10, Z11)
	GETSUMS(Z12, Z13, Z14, Z15)
valuesfresh:
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
valuesbegin:
	CMPQ AX, $4
	JEQ values4
	CMPQ AX, $3
	JEQ values3
	CMPQ AX, $2
	JEQ values2
	VALUESTEPS(values1, SUMS1)
	VALUESTEPS(values2, SUMS2)
	VALUESTEPS(values3, SUMS3)
	VALUESTEPS(values4, SUMS4)
valuesend:
	MOVQ dst+0(FP), DX
	PUTSUMS(Z0, Z1, Z2, Z3)
	PUTSUMS(Z4, Z5, Z6, Z7)
	PUTSUMS(Z8, Z9, Z10, Z11)
	PUTSUMS(Z12, Z13, Z14, Z15)
valuesdone:
	VZEROUPPER
	RET
