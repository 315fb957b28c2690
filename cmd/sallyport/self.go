package main

import (
	"os"
	"os/exec"
	"strings"
)

// command is how a person types this program in a shell, in whatever folder: its name
// where the shell finds it by that, else its path. Who built it may have it in ./bin.
func command() string {
	exe, err := os.Executable()
	if err != nil {
		return "sallyport"
	}
	return commandOf(exe)
}

func commandOf(exe string) string {
	// What PATH has in a relative folder is an error, and gone after a cd.
	if found, err := exec.LookPath("sallyport"); err == nil && sameFile(found, exe) {
		return "sallyport"
	}
	return shellWord(exe)
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// shellWord is a text as one word of a shell, in quotes where it must be.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:,@%=", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
