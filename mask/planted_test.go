package mask

import (
	"testing"

	"github.com/sallyport/sallyport/mask/detect"
)

const plantedKey = "AKIAQ3EGRJ5XLMNB2UVW"

func defaults(tb testing.TB) *detect.Scanner {
	tb.Helper()
	s, err := detect.New(detect.Config{Sets: detect.DefaultSets()})
	if err != nil {
		tb.Fatal(err)
	}
	if len(s.Find("", []byte(plantedKey))) != 1 {
		tb.Fatal("the planted key is none")
	}
	return s
}
