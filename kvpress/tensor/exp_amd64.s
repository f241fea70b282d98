//go:build amd64 && !noasm

#include "textflag.h"

// Powers of two. x = n + r; a polynomial gives 2^r, and n is added to the exponent. Below the smallest normal number: 0. The
// twins, which name the numbers, are exp2SumGo and gateGo.

DATA exp2Low<>+0(SB)/4, $0xc2fc0000
GLOBL exp2Low<>(SB), RODATA|NOPTR, $4
DATA exp2High<>+0(SB)/4, $0x42feffff
GLOBL exp2High<>(SB), RODATA|NOPTR, $4
DATA coef0<>+0(SB)/4, $0x3920fdb1
GLOBL coef0<>(SB), RODATA|NOPTR, $4
DATA coef1<>+0(SB)/4, $0x3aaf9f17
GLOBL coef1<>(SB), RODATA|NOPTR, $4
DATA coef2<>+0(SB)/4, $0x3c1d96a7
GLOBL coef2<>(SB), RODATA|NOPTR, $4
DATA coef3<>+0(SB)/4, $0x3d635774
GLOBL coef3<>(SB), RODATA|NOPTR, $4
DATA coef4<>+0(SB)/4, $0x3e75fdee
GLOBL coef4<>(SB), RODATA|NOPTR, $4
DATA coef5<>+0(SB)/4, $0x3f317218
GLOBL coef5<>(SB), RODATA|NOPTR, $4
DATA one<>+0(SB)/4, $0x3f800000
GLOBL one<>(SB), RODATA|NOPTR, $4
DATA cubicMost<>+0(SB)/4, $0x7149f2ca
GLOBL cubicMost<>(SB), RODATA|NOPTR, $4
DATA sign<>+0(SB)/4, $0x80000000
GLOBL sign<>(SB), RODATA|NOPTR, $4

// EXP8 turns eight numbers in Y0 into the powers of two in Y3. What is not a number stays so.
// Y8 to Y12 hold one, the first coefficient, exp2High, exp2Low and the second coefficient.
#define EXP8 \
	VCMPPS $1, Y11, Y0, Y7; \
	VMINPS Y0, Y10, Y0; \
	VMAXPS Y0, Y11, Y0; \
	VROUNDPS $0, Y0, Y1; \
	VSUBPS Y1, Y0, Y0; \
	VMOVAPS Y9, Y3; \
	VFMADD213PS Y12, Y0, Y3; \
	VBROADCASTSS coef2<>(SB), Y5; \
	VFMADD213PS Y5, Y0, Y3; \
	VBROADCASTSS coef3<>(SB), Y4; \
	VFMADD213PS Y4, Y0, Y3; \
	VBROADCASTSS coef4<>(SB), Y5; \
	VFMADD213PS Y5, Y0, Y3; \
	VBROADCASTSS coef5<>(SB), Y4; \
	VFMADD213PS Y4, Y0, Y3; \
	VFMADD213PS Y8, Y0, Y3; \
	VCVTPS2DQ Y1, Y1; \
	VPSLLD $23, Y1, Y1; \
	VPADDD Y1, Y3, Y3; \
	VANDNPS Y3, Y7, Y3

#define CONSTANTS8 \
	VBROADCASTSS one<>(SB), Y8; \
	VBROADCASTSS coef0<>(SB), Y9; \
	VBROADCASTSS exp2High<>(SB), Y10; \
	VBROADCASTSS exp2Low<>(SB), Y11; \
	VBROADCASTSS coef1<>(SB), Y12

// func exp16avx2(x *float32, n int, scale, shift float32) float32
// Sixteen at a time, and a sum for the lower eight (Y14) and the upper eight (Y15): so AVX-512 adds up.
TEXT ·exp16avx2(SB), NOSPLIT, $0-28
	MOVQ x+0(FP), DI
	MOVQ n+8(FP), CX
	VBROADCASTSS shift+20(FP), Y13
	VXORPS Y14, Y14, Y14
	VXORPS Y15, Y15, Y15
	CONSTANTS8
exp:
	VMOVUPS (DI), Y0
	VBROADCASTSS scale+16(FP), Y2
	VFMSUB213PS Y13, Y2, Y0
	EXP8
	VMOVUPS Y3, (DI)
	VADDPS Y3, Y14, Y14
	VMOVUPS 32(DI), Y0
	VBROADCASTSS scale+16(FP), Y2
	VFMSUB213PS Y13, Y2, Y0
	EXP8
	VMOVUPS Y3, 32(DI)
	VADDPS Y3, Y15, Y15
	ADDQ $64, DI
	SUBQ $16, CX
	JNZ exp
	VADDPS Y15, Y14, Y0
	VEXTRACTF128 $1, Y0, X1
	VADDPS X1, X0, X0
	VHADDPS X0, X0, X0
	VHADDPS X0, X0, X0
	VMOVSS X0, ret+24(FP)
	VZEROUPPER
	RET

// func gate8avx2(dst, gate, up *float32, n int, linear, cubic float32)
TEXT ·gate8avx2(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DX
	MOVQ gate+8(FP), DI
	MOVQ up+16(FP), SI
	MOVQ n+24(FP), CX
	VBROADCASTSS linear+32(FP), Y13
	VBROADCASTSS cubic+36(FP), Y14
	VBROADCASTSS cubicMost<>(SB), Y15
	CONSTANTS8
gate:
	VMOVUPS (DI), Y2
	VMULPS Y2, Y2, Y0
	VMINPS Y15, Y0, Y0
	VMULPS Y14, Y0, Y0
	VADDPS Y13, Y0, Y0
	VBROADCASTSS sign<>(SB), Y1
	VXORPS Y1, Y2, Y1
	VMULPS Y1, Y0, Y0
	EXP8
	VADDPS Y8, Y3, Y3
	VDIVPS Y3, Y2, Y2
	VMULPS (SI), Y2, Y2
	VMOVUPS Y2, (DX)
	ADDQ $32, DI
	ADDQ $32, SI
	ADDQ $32, DX
	SUBQ $8, CX
	JNZ gate
	VZEROUPPER
	RET

// EXP16 is EXP8 with Z registers; the constants are in Z16 to Z24. A mask makes zeros of what is too low, whatever came out.
#define EXP16 \
	VCMPPS $5, Z18, Z0, K1; \
	VMINPS Z0, Z17, Z0; \
	VRNDSCALEPS $0, Z0, Z1; \
	VSUBPS Z1, Z0, Z0; \
	VMOVAPS Z19, Z3; \
	VFMADD213PS Z20, Z0, Z3; \
	VFMADD213PS Z21, Z0, Z3; \
	VFMADD213PS Z22, Z0, Z3; \
	VFMADD213PS Z23, Z0, Z3; \
	VFMADD213PS Z24, Z0, Z3; \
	VFMADD213PS Z16, Z0, Z3; \
	VSCALEFPS.Z Z1, Z3, K1, Z3

#define CONSTANTS16 \
	VBROADCASTSS one<>(SB), Z16; \
	VBROADCASTSS exp2High<>(SB), Z17; \
	VBROADCASTSS exp2Low<>(SB), Z18; \
	VBROADCASTSS coef0<>(SB), Z19; \
	VBROADCASTSS coef1<>(SB), Z20; \
	VBROADCASTSS coef2<>(SB), Z21; \
	VBROADCASTSS coef3<>(SB), Z22; \
	VBROADCASTSS coef4<>(SB), Z23; \
	VBROADCASTSS coef5<>(SB), Z24

// func exp16avx512(x *float32, n int, scale, shift float32) float32
TEXT ·exp16avx512(SB), NOSPLIT, $0-28
	MOVQ x+0(FP), DI
	MOVQ n+8(FP), CX
	VBROADCASTSS scale+16(FP), Z13
	VBROADCASTSS shift+20(FP), Z14
	VPXORD Z15, Z15, Z15
	CONSTANTS16
exp:
	VMOVUPS (DI), Z0
	VFMSUB213PS Z14, Z13, Z0
	EXP16
	VMOVUPS Z3, (DI)
	VADDPS Z3, Z15, Z15
	ADDQ $64, DI
	SUBQ $16, CX
	JNZ exp
	VEXTRACTF64X4 $1, Z15, Y1
	VADDPS Y1, Y15, Y0
	VEXTRACTF128 $1, Y0, X1
	VADDPS X1, X0, X0
	VHADDPS X0, X0, X0
	VHADDPS X0, X0, X0
	VMOVSS X0, ret+24(FP)
	VZEROUPPER
	RET

// func gate16avx512(dst, gate, up *float32, n int, linear, cubic float32)
TEXT ·gate16avx512(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DX
	MOVQ gate+8(FP), DI
	MOVQ up+16(FP), SI
	MOVQ n+24(FP), CX
	VBROADCASTSS linear+32(FP), Z13
	VBROADCASTSS cubic+36(FP), Z14
	VBROADCASTSS cubicMost<>(SB), Z15
	VBROADCASTSS sign<>(SB), Z12
	CONSTANTS16
gate:
	VMOVUPS (DI), Z2
	VMULPS Z2, Z2, Z0
	VMINPS Z15, Z0, Z0
	VMULPS Z14, Z0, Z0
	VADDPS Z13, Z0, Z0
	VXORPS Z12, Z2, Z1
	VMULPS Z1, Z0, Z0
	EXP16
	VADDPS Z16, Z3, Z3
	VDIVPS Z3, Z2, Z2
	VMULPS (SI), Z2, Z2
	VMOVUPS Z2, (DX)
	ADDQ $64, DI
	ADDQ $64, SI
	ADDQ $64, DX
	SUBQ $16, CX
	JNZ gate
	VZEROUPPER
	RET
