//go:build amd64 && !noasm

#include "textflag.h"

// func tile6x16(rows, k int, a *float32, aRow, aStep int, b *[]float32, pieces, bStep, bFrom int, c *float32, cRow int, add bool)
//
// The twin is tileGo, for 16 of the columns. Each of up to 6 rows keeps its 16 sums in two registers, Y0 to Y11. A step takes 16
// numbers of b (Y12, Y13) and one number of each row of a (Y14, Y15 in turn). Distances are in bytes.
//   SI, BX  rows 0 and 3 of a          R8, R9  one and three rows of a    R13  a step of a
//   DI      b, in the piece at hand    R10     a step of b                R11  where in a step the 16 numbers begin
//   DX      the next piece of b        AX      rows                       CX   steps to go

#define FMA(at, x, low, high) \
	VBROADCASTSS at, x; \
	VFMADD231PS Y12, x, low; \
	VFMADD231PS Y13, x, high

#define ROWS1 FMA((SI), Y14, Y0, Y1)
#define ROWS2 ROWS1; FMA((SI)(R8*1), Y15, Y2, Y3)
#define ROWS3 ROWS2; FMA((SI)(R8*2), Y14, Y4, Y5)
#define ROWS4 ROWS3; FMA((BX), Y15, Y6, Y7)
#define ROWS5 ROWS4; FMA((BX)(R8*1), Y14, Y8, Y9)
#define ROWS6 ROWS5; FMA((BX)(R8*2), Y15, Y10, Y11)

#define STEPS(name, rows) \
name: \
	VMOVUPS (DI), Y12; \
	VMOVUPS 32(DI), Y13; \
	ADDQ R10, DI; \
	rows; \
	ADDQ R13, SI; \
	ADDQ R13, BX; \
	DECQ CX; \
	JNZ name; \
	JMP piece

#define LOAD(low, high) \
	VMOVUPS (DI), low; \
	VMOVUPS 32(DI), high; \
	ADDQ R11, DI; \
	DECQ CX; \
	JZ begin

#define STORE(low, high) \
	VMOVUPS low, (DI); \
	VMOVUPS high, 32(DI); \
	ADDQ R11, DI; \
	DECQ CX; \
	JZ end

TEXT ·tile6x16(SB), NOSPLIT, $0-89
	MOVQ a+16(FP), SI
	MOVQ aRow+24(FP), R8
	MOVQ aStep+32(FP), R13
	LEAQ (R8)(R8*2), R9
	LEAQ (SI)(R9*1), BX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	VXORPS Y8, Y8, Y8
	VXORPS Y9, Y9, Y9
	VXORPS Y10, Y10, Y10
	VXORPS Y11, Y11, Y11
	MOVBLZX add+88(FP), AX
	TESTL AX, AX
	JZ begin
	MOVQ c+72(FP), DI
	MOVQ cRow+80(FP), R11
	MOVQ rows+0(FP), CX
	LOAD(Y0, Y1)
	LOAD(Y2, Y3)
	LOAD(Y4, Y5)
	LOAD(Y6, Y7)
	LOAD(Y8, Y9)
	LOAD(Y10, Y11)
begin:
	MOVQ rows+0(FP), AX
	MOVQ b+40(FP), DX
	MOVQ bStep+56(FP), R10
	MOVQ bFrom+64(FP), R11
piece:
	DECQ pieces+48(FP)
	JLT write
	MOVQ (DX), DI
	ADDQ R11, DI
	ADDQ $24, DX // a slice is three words
	MOVQ k+8(FP), CX
	CMPQ AX, $6
	JEQ steps6
	CMPQ AX, $5
	JEQ steps5
	CMPQ AX, $4
	JEQ steps4
	CMPQ AX, $3
	JEQ steps3
	CMPQ AX, $2
	JEQ steps2
	STEPS(steps1, ROWS1)
	STEPS(steps2, ROWS2)
	STEPS(steps3, ROWS3)
	STEPS(steps4, ROWS4)
	STEPS(steps5, ROWS5)
	STEPS(steps6, ROWS6)
write:
	MOVQ c+72(FP), DI
	MOVQ cRow+80(FP), R11
	MOVQ AX, CX
	STORE(Y0, Y1)
	STORE(Y2, Y3)
	STORE(Y4, Y5)
	STORE(Y6, Y7)
	STORE(Y8, Y9)
	STORE(Y10, Y11)
end:
	VZEROUPPER
	RET
