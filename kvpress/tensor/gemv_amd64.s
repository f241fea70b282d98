//go:build amd64 && !noasm

#include "textflag.h"

// Products of one row. The twin is gemvGo.

// A product of 64 outputs reads four panels side by side. PANELS, LOOP and FINISH are its frame: a loop over two inputs a
// turn, which fetches what lies 1,024 bytes (32 inputs) further on in each panel, and for the last 32 inputs the begin of
// the next four panels instead, so that memory is never idle. They are fetched into the second cache: what waits for the
// first one waits in too few places.
#define PANELS \
	MOVQ dst+0(FP), DX       \
	MOVQ x+8(FP), SI         \
	MOVQ k+16(FP), CX        \
	MOVQ panels+24(FP), R8   \
	MOVQ stride+32(FP), AX   \
	LEAQ (R8)(AX*1), R9      \
	LEAQ (R8)(AX*2), R10     \
	LEAQ (R9)(AX*2), R11     \
	LEAQ (AX)(AX*2), AX      \
	MOVQ $1024, R12          \
	SUBQ $32, CX

#define FETCH \
	PREFETCHT1 (R8)(R12*1)  \
	PREFETCHT1 (R9)(R12*1)  \
	PREFETCHT1 (R10)(R12*1) \
	PREFETCHT1 (R11)(R12*1)

#define STEP \
	ADDQ $64, R8  \
	ADDQ $64, R9  \
	ADDQ $64, R10 \
	ADDQ $64, R11 \
	ADDQ $8, SI   \
	SUBQ $2, CX

// LAST begins the last inputs, 32 or all where there are fewer.
#define LAST \
	ADDQ $32, CX \
	ADDQ AX, R12

#define HALF8(p, at, low, high) \
	VPMOVZXWD at(p), Y8          \
	VPMOVZXWD (at+16)(p), Y9     \
	VPSLLD $16, Y8, Y8           \
	VPSLLD $16, Y9, Y9           \
	VFMADD231PS Y8, Y15, low     \
	VFMADD231PS Y9, Y15, high

#define HALVES8(at) \
	HALF8(R8, at, Y0, Y1)  \
	HALF8(R9, at, Y2, Y3)  \
	HALF8(R10, at, Y4, Y5) \
	HALF8(R11, at, Y6, Y7)

// func gemvHalf64avx2(dst, x *float32, k int, panels *uint16, stride int)
TEXT ·gemvHalf64avx2(SB), NOSPLIT, $0-40
	PANELS
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	CMPQ CX, $0
	JLE last8
loop8:
	FETCH
	VBROADCASTSS (SI), Y15
	HALVES8(0)
	VBROADCASTSS 4(SI), Y15
	HALVES8(32)
	STEP
	JNZ loop8
	CMPQ R12, $1024
	JNE write8
last8:
	LAST
	JMP loop8
write8:
	VMOVUPS Y0, 0(DX)
	VMOVUPS Y1, 32(DX)
	VMOVUPS Y2, 64(DX)
	VMOVUPS Y3, 96(DX)
	VMOVUPS Y4, 128(DX)
	VMOVUPS Y5, 160(DX)
	VMOVUPS Y6, 192(DX)
	VMOVUPS Y7, 224(DX)
	VZEROUPPER
	RET

#define HALF16(p, at, sum) \
	VPMOVZXWD at(p), Z8      \
	VPSLLD $16, Z8, Z8       \
	VFMADD231PS Z8, Z15, sum

#define HALVES16(at) \
	HALF16(R8, at, Z0)  \
	HALF16(R9, at, Z1)  \
	HALF16(R10, at, Z2) \
	HALF16(R11, at, Z3)

// func gemvHalf64avx512(dst, x *float32, k int, panels *uint16, stride int)
TEXT ·gemvHalf64avx512(SB), NOSPLIT, $0-40
	PANELS
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
	CMPQ CX, $0
	JLE last16
loop16:
	FETCH
	VBROADCASTSS (SI), Z15
	HALVES16(0)
	VBROADCASTSS 4(SI), Z15
	HALVES16(32)
	STEP
	JNZ loop16
	CMPQ R12, $1024
	JNE write16
last16:
	LAST
	JMP loop16
write16:
	VMOVUPS Z0, 0(DX)
	VMOVUPS Z1, 64(DX)
	VMOVUPS Z2, 128(DX)
	VMOVUPS Z3, 192(DX)
	VZEROUPPER
	RET

// func gemvHalf16(dst, x *float32, k int, panel *uint16)
TEXT ·gemvHalf16(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DX
	MOVQ x+8(FP), SI
	MOVQ k+16(FP), CX
	MOVQ panel+24(FP), R8
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
gemvHalf16loop:
	VBROADCASTSS (SI), Y15
	VPMOVZXWD (R8), Y8
	VPMOVZXWD 16(R8), Y9
	VPSLLD $16, Y8, Y8
	VPSLLD $16, Y9, Y9
	VFMADD231PS Y8, Y15, Y0
	VFMADD231PS Y9, Y15, Y1
	ADDQ $32, R8
	ADDQ $4, SI
	DECQ CX
	JNZ gemvHalf16loop
	VMOVUPS Y0, 0(DX)
	VMOVUPS Y1, 32(DX)
	VZEROUPPER
	RET

// func gemvSingle64(dst, x *float32, k int, panels *float32, stride int)
TEXT ·gemvSingle64(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DX
	MOVQ x+8(FP), SI
	MOVQ k+16(FP), CX
	MOVQ panels+24(FP), R8
	MOVQ stride+32(FP), AX
	LEAQ (R8)(AX*1), R9
	LEAQ (R8)(AX*2), R10
	LEAQ (R9)(AX*2), R11
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
gemvSingle64loop:
	VBROADCASTSS (SI), Y15
	VFMADD231PS (R8), Y15, Y0
	VFMADD231PS 32(R8), Y15, Y1
	ADDQ $64, R8
	VFMADD231PS (R9), Y15, Y2
	VFMADD231PS 32(R9), Y15, Y3
	ADDQ $64, R9
	VFMADD231PS (R10), Y15, Y4
	VFMADD231PS 32(R10), Y15, Y5
	ADDQ $64, R10
	VFMADD231PS (R11), Y15, Y6
	VFMADD231PS 32(R11), Y15, Y7
	ADDQ $64, R11
	ADDQ $4, SI
	DECQ CX
	JNZ gemvSingle64loop
	VMOVUPS Y0, 0(DX)
	VMOVUPS Y1, 32(DX)
	VMOVUPS Y2, 64(DX)
	VMOVUPS Y3, 96(DX)
	VMOVUPS Y4, 128(DX)
	VMOVUPS Y5, 160(DX)
	VMOVUPS Y6, 192(DX)
	VMOVUPS Y7, 224(DX)
	VZEROUPPER
	RET

// func gemvSingle16(dst, x *float32, k int, panel *float32)
TEXT ·gemvSingle16(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DX
	MOVQ x+8(FP), SI
	MOVQ k+16(FP), CX
	MOVQ panel+24(FP), R8
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
gemvSingle16loop:
	VBROADCASTSS (SI), Y15
	VFMADD231PS (R8), Y15, Y0
	VFMADD231PS 32(R8), Y15, Y1
	ADDQ $64, R8
	ADDQ $4, SI
	DECQ CX
	JNZ gemvSingle16loop
	VMOVUPS Y0, 0(DX)
	VMOVUPS Y1, 32(DX)
	VZEROUPPER
	RET
