package principal

// The textual form is made by hand, a few lines each, because browsers would
// have to load the general packages for it.

// checksum is the CRC-32 of IEEE 802.3.
func checksum(s string) uint32 {
	c := ^uint32(0)
	for i := range len(s) {
		c ^= uint32(s[i])
		for range 8 {
			c = c>>1 ^ 0xedb88320&-(c&1)
		}
	}
	return ^c
}

// alphabet is that of base32 (RFC 4648) in lower case.
const alphabet = "abcdefghijklmnopqrstuvwxyz234567"

// appendText appends base32 without padding, a dash after every five characters.
func appendText(out, b []byte) string {
	acc, bits, written := uint(0), 0, 0
	put := func() {
		if written > 0 && written%5 == 0 {
			out = append(out, '-')
		}
		out = append(out, alphabet[acc>>(bits-5)&31])
		bits -= 5
		written++
	}
	for _, c := range b {
		acc, bits = acc<<8|uint(c), bits+8
		for bits >= 5 {
			put()
		}
	}
	if bits > 0 {
		acc, bits = acc<<(5-bits), 5
		put()
	}
	return string(out)
}

// decodeText reads base32 and passes over dashes. Whether the bits that pad the
// last character are zero is left to the comparison with the canonical form.
func decodeText(text string) (b []byte, ok bool) {
	acc, bits := uint(0), 0
	for i := range len(text) {
		c := text[i]
		switch {
		case c == '-':
			continue
		case 'a' <= c && c <= 'z':
			acc = acc<<5 | uint(c-'a')
		case '2' <= c && c <= '7':
			acc = acc<<5 | uint(c-'2'+26)
		default:
			return nil, false
		}
		if bits += 5; bits >= 8 {
			bits -= 8
			b = append(b, byte(acc>>bits))
		}
	}
	return b, true
}
