package link

import (
	"math"
	"math/big"
)

// intrinsicModule is the module of functions that the linker makes because Go's
// compiler makes them several times as long.
const intrinsicModule = "intrinsic"

// Offsets of locals in sha256Body.
const (
	shaState, shaData, shaBlocks = 0, 1, 2 // parameters
	shaVars                      = 3       // a to h
	shaWords                     = 11      // the last 16 words of the message schedule
	shaT                         = 27
	shaLocals                    = 25
)

// sha256Body: (state *[8]uint32, data *byte, blocks) compresses blocks of 64 bytes
// into the state (FIPS 180-4, 6.2.2), all rounds unrolled.
func sha256Body() []byte {
	a := &asm{}
	for range shaLocals {
		a.locals = append(a.locals, i32)
	}
	a.op(opLoop, emptyBlock)
	a.get(shaBlocks).op(opI32Eqz, opIf, emptyBlock, opReturn, opEnd)
	for i := range uint32(16) {
		a.get(shaData).mem(opI32Load, 4*i).bigEndian().set(shaWords + i)
	}
	for i := range uint32(8) {
		a.get(shaState).mem(opI32Load, 4*i).set(shaVars + i)
	}
	k := sha256Constants()
	for i := range uint32(64) {
		a.sha256Round(i, k[i])
	}
	for i := range uint32(8) {
		a.get(shaState).get(shaState).mem(opI32Load, 4*i).get(shaVars+i).op(opI32Add).mem(opI32Store, 4*i)
	}
	a.get(shaData).i32(64).op(opI32Add).set(shaData)
	a.get(shaBlocks).i32(1).op(opI32Sub).set(shaBlocks)
	a.op(opBr, 0, opEnd)
	return a.body()
}

// bigEndian swaps the bytes of the word on the stack.
func (a *asm) bigEndian() *asm {
	a.index(opLocalTee, shaT).i32(8).op(opI32Rotl).i32(0x00ff00ff).op(opI32And)
	return a.get(shaT).i32(8).op(opI32Rotr).i32(-0x00ff0100).op(opI32And, opI32Or)
}

// sha256Round is one round. The variables take turns: a is the local that was h.
func (a *asm) sha256Round(i, k uint32) {
	v := func(n uint32) uint32 { return shaVars + (n-i)%8 }
	w := func(n uint32) uint32 { return shaWords + (i+n)%16 }
	if i >= 16 {
		a.get(w(0)).sigma(w(1), 7, 18, 3).get(w(9)).sigma(w(14), 17, 19, 10)
		a.op(opI32Add, opI32Add, opI32Add).set(w(0))
	}
	const va, vb, vc, vd, ve, vf, vg, vh = 0, 1, 2, 3, 4, 5, 6, 7
	a.get(v(vh)).rotations(v(ve), 6, 11, 25).op(opI32Add)
	a.get(v(vf)).get(v(vg)).op(opI32Xor).get(v(ve)).op(opI32And).get(v(vg)).op(opI32Xor, opI32Add)
	a.get(w(0)).op(opI32Add).i32(int32(k)).op(opI32Add).index(opLocalTee, shaT)
	a.get(v(vd)).op(opI32Add).set(v(vd))
	a.get(shaT).rotations(v(va), 2, 13, 22).op(opI32Add)
	a.get(v(va)).get(v(vb)).op(opI32And).get(v(vc)).get(v(va)).get(v(vb)).op(opI32Or, opI32And, opI32Or)
	a.op(opI32Add).set(v(vh))
}

// rotations is the exclusive or of a local rotated right by three amounts.
func (a *asm) rotations(local uint32, x, y, z int32) *asm {
	a.get(local).i32(x).op(opI32Rotr).get(local).i32(y).op(opI32Rotr, opI32Xor)
	return a.get(local).i32(z).op(opI32Rotr, opI32Xor)
}

// sigma is the same with a shift in the place of the last rotation.
func (a *asm) sigma(local uint32, x, y, shift int32) *asm {
	a.get(local).i32(x).op(opI32Rotr).get(local).i32(y).op(opI32Rotr, opI32Xor)
	return a.get(local).i32(shift).op(opI32ShrU, opI32Xor)
}

// sha256Constants are the first 32 bits of the fractional parts of the cube roots of
// the first 64 primes.
func sha256Constants() (k [64]uint32) {
	i := 0
	for p := int64(2); i < len(k); p++ {
		if !big.NewInt(p).ProbablyPrime(0) {
			continue
		}
		// the integer cube root of p shifted by 96 has 32 bits after the point
		n := new(big.Int).Lsh(big.NewInt(p), 96)
		low, high := new(big.Int), new(big.Int).Lsh(big.NewInt(8), 32)
		for one := big.NewInt(1); new(big.Int).Sub(high, low).Cmp(one) > 0; {
			mid := new(big.Int).Rsh(new(big.Int).Add(low, high), 1)
			if new(big.Int).Exp(mid, big.NewInt(3), nil).Cmp(n) > 0 {
				high = mid
			} else {
				low = mid
			}
		}
		k[i] = uint32(low.Uint64() & math.MaxUint32)
		i++
	}
	return k
}
