//go:build amd64 && !noasm

#include "textflag.h"

// func tile12x32(rows, k int, a *float32, aRow, aStep int, b *[]float32, pieces, bStep, bHalf int, c *float32, cRow int, add bool)
//
// The twin is tileGo. Each of up to 12 rows keeps its 32 sums in two registers, Z0 to Z23. A step takes 32 numbers of b
// (Z24, Z25) and one number of each row of a (Z26, Z27 in turn). Distances are in bytes.
//   SI, BX, R12  rows 0, 4 and 8 of a       R8, R9  one and three rows of a     R13  a step of a
//   DI           b, in the piece at hand    R10     a step of b                 R11  from its first half to its second
//   DX           the next piece of b        AX      rows                        CX   steps to go

#define FMA(at, x, low, high) \
	VBROADCASTSS at, x; \
	VFMADD231PS Z24, x, low; \
	VFMADD231PS Z25, x, high

#define ROWS1 FMA((SI), Z26, Z0, Z1)
#define ROWS2 ROWS1; FMA((SI)(R8*1), Z27, Z2, Z3)
#define ROWS3 ROWS2; FMA((SI)(R8*2), Z26, Z4, Z5)
#define ROWS4 ROWS3; FMA((SI)(R9*1), Z27, Z6, Z7)
#define ROWS5 ROWS4; FMA((BX), Z26, Z8, Z9)
#define ROWS6 ROWS5; FMA((BX)(R8*1), Z27, Z10, Z11)
#define ROWS7 ROWS6; FMA((BX)(R8*2), Z26, Z12, Z13)
#define ROWS8 ROWS7; FMA((BX)(R9*1), Z27, Z14, Z15)
#define ROWS9 ROWS8; FMA((R12), Z26, Z16, Z17)
#define ROWS10 ROWS9; FMA((R12)(R8*1), Z27, Z18, Z19)
#define ROWS11 ROWS10; FMA((R12)(R8*2), Z26, Z20, Z21)
#define ROWS12 ROWS11; FMA((R12)(R9*1), Z27, Z22, Z23)

// NOSUMS lets the sums of all rows begin with 0.
#define NOSUMS \
	VPXORD Z0, Z0, Z0; VPXORD Z1, Z1, Z1; VPXORD Z2, Z2, Z2; VPXORD Z3, Z3, Z3; \
	VPXORD Z4, Z4, Z4; VPXORD Z5, Z5, Z5; VPXORD Z6, Z6, Z6; VPXORD Z7, Z7, Z7; \
	VPXORD Z8, Z8, Z8; VPXORD Z9, Z9, Z9; VPXORD Z10, Z10, Z10; VPXORD Z11, Z11, Z11; \
	VPXORD Z12, Z12, Z12; VPXORD Z13, Z13, Z13; VPXORD Z14, Z14, Z14; VPXORD Z15, Z15, Z15; \
	VPXORD Z16, Z16, Z16; VPXORD Z17, Z17, Z17; VPXORD Z18, Z18, Z18; VPXORD Z19, Z19, Z19; \
	VPXORD Z20, Z20, Z20; VPXORD Z21, Z21, Z21; VPXORD Z22, Z22, Z22; VPXORD Z23, Z23, Z23

// EACHROW does something for the sums of one row after the other, in registers two by two.
#define EACHROW(what) \
	what(Z0, Z1); what(Z2, Z3); what(Z4, Z5); what(Z6, Z7); what(Z8, Z9); what(Z10, Z11); \
	what(Z12, Z13); what(Z14, Z15); what(Z16, Z17); what(Z18, Z19); what(Z20, Z21); what(Z22, Z23)

#define STEPS(name, rows) \
name: \
	VMOVUPS (DI), Z24; \
	VMOVUPS (DI)(R11*1), Z25; \
	ADDQ R10, DI; \
	rows; \
	ADDQ R13, SI; \
	ADDQ R13, BX; \
	ADDQ R13, R12; \
	DECQ CX; \
	JNZ name; \
	JMP piece;

// ALLSTEPS are the steps of a piece, for as many rows as there are; behind them the code goes on at piece.
#define ALLSTEPS \
	CMPQ AX, $12; JEQ steps12; \
	CMPQ AX, $11; JEQ steps11; \
	CMPQ AX, $10; JEQ steps10; \
	CMPQ AX, $9; JEQ steps9; \
	CMPQ AX, $8; JEQ steps8; \
	CMPQ AX, $7; JEQ steps7; \
	CMPQ AX, $6; JEQ steps6; \
	CMPQ AX, $5; JEQ steps5; \
	CMPQ AX, $4; JEQ steps4; \
	CMPQ AX, $3; JEQ steps3; \
	CMPQ AX, $2; JEQ steps2; \
	STEPS(steps1, ROWS1) \
	STEPS(steps2, ROWS2) \
	STEPS(steps3, ROWS3) \
	STEPS(steps4, ROWS4) \
	STEPS(steps5, ROWS5) \
	STEPS(steps6, ROWS6) \
	STEPS(steps7, ROWS7) \
	STEPS(steps8, ROWS8) \
	STEPS(steps9, ROWS9) \
	STEPS(steps10, ROWS10) \
	STEPS(steps11, ROWS11) \
	STEPS(steps12, ROWS12)

#define LOAD(low, high) \
	VMOVUPS (DI), low; \
	VMOVUPS 64(DI), high; \
	ADDQ R11, DI; \
	DECQ CX; \
	JZ begin

#define STORE(low, high) \
	VMOVUPS low, (DI); \
	VMOVUPS high, 64(DI); \
	ADDQ R11, DI; \
	DECQ CX; \
	JZ end

TEXT ·tile12x32(SB), NOSPLIT, $0-89
	MOVQ a+16(FP), SI
	MOVQ aRow+24(FP), R8
	MOVQ aStep+32(FP), R13
	LEAQ (R8)(R8*2), R9
	LEAQ (SI)(R8*4), BX
	LEAQ (SI)(R8*8), R12
	NOSUMS
	MOVBLZX add+88(FP), AX
	TESTL AX, AX
	JZ begin
	MOVQ c+72(FP), DI
	MOVQ cRow+80(FP), R11
	MOVQ rows+0(FP), CX
	EACHROW(LOAD)
begin:
	MOVQ rows+0(FP), AX
	MOVQ b+40(FP), DX
	MOVQ bStep+56(FP), R10
	MOVQ bHalf+64(FP), R11
piece:
	DECQ pieces+48(FP)
	JLT write
	MOVQ (DX), DI
	ADDQ $24, DX // a slice is three words
	MOVQ k+8(FP), CX
	ALLSTEPS
write:
	MOVQ c+72(FP), DI
	MOVQ cRow+80(FP), R11
	MOVQ AX, CX
	EACHROW(STORE)
end:
	VZEROUPPER
	RET

// func tiles12x32(rows, k int, a *float32, aRow int, b *[]float32, pieces, bStep, bHalf int, c *float32, cRow int)
//
// The twin is tilesGo: tile12x32 for each piece by itself, one beside the other in c. The registers are the same.
TEXT ·tiles12x32(SB), NOSPLIT, $0-80
	MOVQ rows+0(FP), AX
	MOVQ aRow+24(FP), R8
	MOVQ $4, R13
	LEAQ (R8)(R8*2), R9
	MOVQ b+32(FP), DX
	MOVQ bStep+48(FP), R10
next:
	MOVQ a+16(FP), SI
	LEAQ (SI)(R8*4), BX
	LEAQ (SI)(R8*8), R12
	MOVQ (DX), DI
	ADDQ $24, DX
	MOVQ bHalf+56(FP), R11
	MOVQ k+8(FP), CX
	NOSUMS
	ALLSTEPS
piece:
	MOVQ c+64(FP), DI
	MOVQ cRow+72(FP), R11
	MOVQ AX, CX
	EACHROW(STORE)
end:
	ADDQ $128, c+64(FP)
	DECQ pieces+40(FP)
	JNZ next
	VZEROUPPER
	RET
