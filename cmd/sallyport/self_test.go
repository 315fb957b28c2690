package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What is printed to be typed starts the same program in any folder.
func TestCommand(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"built/sallyport", "it's here/sallyport", "other/sallyport"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("#!/bin/sh\necho "+filepath.Dir(name)[:2]+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("linked", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../built/sallyport", "linked/sallyport"); err != nil {
		t.Fatal(err)
	}
	built := filepath.Join(dir, "built", "sallyport")
	for _, c := range []struct{ name, path, exe, want string }{
		{"nowhere in PATH", "", built, built},
		{"in PATH", filepath.Dir(built), built, "sallyport"},
		{"in PATH by a link", filepath.Join(dir, "linked"), built, "sallyport"},
		{"another in PATH", filepath.Join(dir, "other") + ":" + filepath.Dir(built), built, built},
		{"in PATH from here alone", "built", built, built},
		{"with a quote and a space", "", filepath.Join(dir, "it's here", "sallyport"), "'" + dir + `/it'\''s here/sallyport'`},
	} {
		t.Setenv("PATH", c.path)
		got := commandOf(c.exe)
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		sh := exec.Command("/bin/sh", "-c", got)
		sh.Dir = t.TempDir()
		if out, err := sh.CombinedOutput(); err != nil || string(out) != filepath.Base(filepath.Dir(c.exe))[:2]+"\n" {
			t.Errorf("%s: a shell runs %q (%v)", c.name, out, err)
		}
	}
}
