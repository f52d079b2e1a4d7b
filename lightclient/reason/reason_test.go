package reason

import (
	"errors"
	"io"
	"testing"
)

func TestWrappedErrorsAreFound(t *testing.T) {
	err := Wrap("reading", io.EOF)
	if err.Error() != "reading: EOF" || !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

func TestHexHasTwoDigitsForEveryByte(t *testing.T) {
	if got := Hex([]byte{0, 0x0f, 0xa5, 0xff}); got != "000fa5ff" {
		t.Errorf("got %s", got)
	}
}

func TestQuotedTextHasNoControlCharacters(t *testing.T) {
	for in, want := range map[string]string{
		"":            `""`,
		"a\"b\\c":     `"a\"b\\c"`,
		"line\nbreak": `"line\x0abreak"`,
		"é\xff\x7f":   `"é\xff\x7f"`,
	} {
		if got := Quote(in); got != want {
			t.Errorf("%q becomes %s, want %s", in, got, want)
		}
	}
}
