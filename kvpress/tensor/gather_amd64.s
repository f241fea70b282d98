//go:build amd64 && !noasm

#include "textflag.h"

// func gather512(dst, k *float32, channels int, index *[32]uint32, n int)
//
// The twin is gatherWholeGo. Z0 and Z1 tell the places of 32 numbers in the 32 of a channel (Z2, Z3); K1 and K2 have a bit
// for each of the n that are written.
TEXT ·gather512(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ k+8(FP), SI
	MOVQ channels+16(FP), DX
	MOVQ index+24(FP), R8
	MOVQ n+32(FP), CX
	VMOVDQU32 (R8), Z0
	VMOVDQU32 64(R8), Z1
	MOVQ $1, AX
	SHLQ CX, AX
	DECQ AX
	KMOVW AX, K1
	SHRQ $16, AX
	KMOVW AX, K2
channel:
	VMOVUPS (SI), Z2
	VMOVUPS 64(SI), Z3
	VMOVDQA32 Z0, Z4
	VPERMI2PS Z3, Z2, Z4
	VMOVUPS Z4, K1, (DI)
	VMOVDQA32 Z1, Z5
	VPERMI2PS Z3, Z2, Z5
	VMOVUPS Z5, K2, 64(DI)
	ADDQ $128, SI
	ADDQ $128, DI
	DECQ DX
	JNZ channel
	VZEROUPPER
	RET
