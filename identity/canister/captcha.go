package main

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"strings"
)

// A captcha is drawn from a seed, which is all that is kept of it: characters that are not
// easily mixed up, each turned and leaning, on a wave, with lines through them. It slows
// down who registers by the thousand; the rate limit is what holds when it is read by a
// machine.

// captchaSeed is 32 bytes of the network's randomness.
type captchaSeed [32]byte

const (
	captchaLetters = 5
	captchaWidth   = 220
	captchaHeight  = 120

	glyphWidth, glyphHeight = 5, 7
	dotWidth, dotHeight     = 5.5, 8.0 // of a dot of a glyph, in pixels
	letterStep              = 40
	captchaLines            = 5
	captchaDots             = 250
)

// glyph is a character and its rows of five dots, the first one the highest bit.
type glyph struct {
	letter byte
	rows   [glyphHeight]byte
}

// alphabet is what captchas are made of.
func alphabet() []glyph {
	return []glyph{
		{'A', [...]byte{0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11}},
		{'C', [...]byte{0x0e, 0x11, 0x10, 0x10, 0x10, 0x11, 0x0e}},
		{'E', [...]byte{0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f}},
		{'F', [...]byte{0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x10}},
		{'H', [...]byte{0x11, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11}},
		{'J', [...]byte{0x07, 0x02, 0x02, 0x02, 0x02, 0x12, 0x0c}},
		{'K', [...]byte{0x11, 0x12, 0x14, 0x18, 0x14, 0x12, 0x11}},
		{'L', [...]byte{0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1f}},
		{'M', [...]byte{0x11, 0x1b, 0x15, 0x15, 0x11, 0x11, 0x11}},
		{'N', [...]byte{0x11, 0x19, 0x15, 0x15, 0x13, 0x11, 0x11}},
		{'P', [...]byte{0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10, 0x10}},
		{'R', [...]byte{0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11}},
		{'T', [...]byte{0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04}},
		{'W', [...]byte{0x11, 0x11, 0x11, 0x15, 0x15, 0x1b, 0x11}},
		{'X', [...]byte{0x11, 0x11, 0x0a, 0x04, 0x0a, 0x11, 0x11}},
		{'Y', [...]byte{0x11, 0x11, 0x0a, 0x04, 0x04, 0x04, 0x04}},
		{'3', [...]byte{0x1e, 0x01, 0x01, 0x0e, 0x01, 0x01, 0x1e}},
		{'4', [...]byte{0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02}},
		{'7', [...]byte{0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08}},
		{'9', [...]byte{0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c}},
	}
}

// letters draws the characters from a seed's random numbers, of which they are the first.
func letters(r *rand.Rand) []glyph {
	all, out := alphabet(), make([]glyph, captchaLetters)
	for i := range out {
		out[i] = all[r.IntN(len(all))]
	}
	return out
}

func (s captchaSeed) random() *rand.Rand { return rand.New(rand.NewChaCha8(s)) }

// solved decides whether somebody has read the characters; small letters count as large.
func (s captchaSeed) solved(chars string) bool {
	if len(chars) != captchaLetters {
		return false
	}
	for i, g := range letters(s.random()) {
		if strings.ToUpper(chars[i:i+1]) != string(g.letter) {
			return false
		}
	}
	return true
}

// draw is the captcha as a PNG, base64.
func (s captchaSeed) draw() (string, error) {
	r := s.random()
	img := image.NewPaletted(image.Rect(0, 0, captchaWidth, captchaHeight), color.Palette{color.Gray{0xff}, color.Gray{0x20}})
	for i, g := range letters(r) {
		g.draw(img, 30+float64(i*letterStep)+8*(r.Float64()-0.5), 60+24*(r.Float64()-0.5), r)
	}
	for range captchaLines {
		line(img, r)
	}
	for range captchaDots {
		img.SetColorIndex(r.IntN(captchaWidth), r.IntN(captchaHeight), uint8(r.IntN(2)))
	}
	var b bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(&b, img); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(b.Bytes()), nil
}

// draw draws a glyph around a point. Each pixel asks which dot of the glyph it is in, so
// that there are no gaps however the glyph is turned.
func (g glyph) draw(img *image.Paletted, x0, y0 float64, r *rand.Rand) {
	sin, cos := math.Sincos(0.5 * (r.Float64() - 0.5))
	lean, wave, phase := 0.5*(r.Float64()-0.5), 2+2*r.Float64(), 2*math.Pi*r.Float64()
	const reach = 40
	for y := int(y0) - reach; y < int(y0)+reach; y++ {
		for x := int(x0) - reach; x < int(x0)+reach; x++ {
			dx, dy := float64(x)-x0, float64(y)-y0
			dx += wave * math.Sin(dy/9+phase)
			u, v := cos*dx+sin*dy, cos*dy-sin*dx
			if g.inked((u+lean*v)/dotWidth+glyphWidth/2.0, v/dotHeight+glyphHeight/2.0) {
				img.SetColorIndex(x, y, 1)
			}
		}
	}
}

// inked reports whether a place of a glyph, in dots from its upper left corner, is within
// a dot. Dots reach into each other, so that slanting strokes hold together.
func (g glyph) inked(x, y float64) bool {
	const reach = 0.25
	for _, dy := range [...]float64{-reach, reach} {
		for _, dx := range [...]float64{-reach, reach} {
			column, row := int(math.Floor(x+dx)), int(math.Floor(y+dy))
			if column >= 0 && column < glyphWidth && row >= 0 && row < glyphHeight && g.rows[row]>>(glyphWidth-1-column)&1 == 1 {
				return true
			}
		}
	}
	return false
}

// line draws a line from the left to the right, of one color or the other.
func line(img *image.Paletted, r *rand.Rand) {
	from, to := captchaHeight*r.Float64(), captchaHeight*r.Float64()
	bend, index := 30*(r.Float64()-0.5), uint8(r.IntN(2))
	for x := range captchaWidth {
		at := float64(x) / captchaWidth
		y := int(from + (to-from)*at + bend*math.Sin(math.Pi*at))
		for i := range 2 {
			if image.Pt(x, y+i).In(img.Rect) {
				img.SetColorIndex(x, y+i, index)
			}
		}
	}
}
