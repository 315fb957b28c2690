package recorder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/privatefile"
)

const holdsFile = "holds.json"

// Hold is a session whose bodies stay, whatever retention says; or one whose bodies
// somebody wants gone.
type Hold struct {
	Session string    `json:"session"`
	Reason  string    `json:"reason"`
	By      string    `json:"by"` // who asked
	At      time.Time `json:"at"`
}

// holds is the content of holds.json. Commands write it, and the recorder acts on it.
type holds struct {
	Holds  []Hold       `json:"holds"`
	Forget []Hold       `json:"forget,omitempty"` // not yet done
	Untold []holdChange `json:"untold,omitempty"` // not yet on record
}

func (h holds) held(session string) bool {
	return slices.ContainsFunc(h.Holds, func(o Hold) bool { return o.Session == session })
}

// holdChange is something that was done with a hold and that the recorder puts on record.
type holdChange struct {
	Hold
	Action string `json:"action"` // event.HoldBegun or event.HoldReleased
}

// readHolds refuses what it does not understand: a hold that is not seen would let
// bodies go.
func readHolds(dir string) (h holds, err error) {
	text, err := os.ReadFile(filepath.Join(dir, holdsFile))
	if errors.Is(err, os.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return h, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&h); err != nil {
		return holds{}, fmt.Errorf("%s cannot be read: %w", filepath.Join(dir, holdsFile), err)
	}
	all := append(slices.Clone(h.Holds), h.Forget...)
	for _, o := range h.Untold {
		all = append(all, o.Hold)
	}
	for _, o := range all {
		if err := ValidSession(o.Session); err != nil {
			return holds{}, fmt.Errorf("%s: %w", filepath.Join(dir, holdsFile), err)
		}
	}
	return h, nil
}

// changeHolds changes the file; commands and the recorder do it one after the other.
func changeHolds(dir string, change func(*holds) error) error {
	lock, err := os.OpenFile(filepath.Join(dir, "holds.lock"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("holds: %w", err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("holds: %w", err)
	}
	h, err := readHolds(dir)
	if err != nil {
		return err
	}
	if err := change(&h); err != nil {
		return err
	}
	if h.Holds == nil {
		h.Holds = []Hold{}
	}
	text, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(privatefile.Replace(filepath.Join(dir, holdsFile), append(text, '\n'), 0o600), syncDir(dir))
}

// Holds are the sessions under a legal hold, and those whose bodies are to go.
func (r Records) Holds() (held, forget []Hold, err error) {
	h, err := readHolds(r.Dir)
	return h.Holds, h.Forget, err
}

// Hold puts a session under a legal hold: its bodies stay until Release.
func (r Records) Hold(h Hold) error {
	return changeHolds(r.Dir, func(all *holds) error {
		if all.held(h.Session) {
			return fmt.Errorf("session %s is held already", h.Session)
		}
		all.Holds = append(all.Holds, h)
		all.Untold = append(all.Untold, holdChange{h, event.HoldBegun})
		all.Forget = slices.DeleteFunc(all.Forget, func(o Hold) bool { return o.Session == h.Session })
		return nil
	})
}

// Release ends a hold. h says who wanted it, and why.
func (r Records) Release(h Hold) error {
	return changeHolds(r.Dir, func(all *holds) error {
		if !all.held(h.Session) {
			return fmt.Errorf("session %s is not held", h.Session)
		}
		all.Holds = slices.DeleteFunc(all.Holds, func(o Hold) bool { return o.Session == h.Session })
		all.Untold = append(all.Untold, holdChange{h, event.HoldReleased})
		return nil
	})
}

// tellHolds puts on record what was done with holds since the last time. After a crash in
// between it is there twice, and never not at all.
func (s *Store) tellHolds(h holds) error {
	for _, t := range h.Untold {
		err := s.tell(&event.Hold{Action: t.Action, Of: t.Session, By: t.By, Reason: t.Reason, Asked: t.At})
		if err != nil {
			return err
		}
	}
	if len(h.Untold) == 0 {
		return nil
	}
	return changeHolds(s.dir, func(all *holds) error {
		all.Untold = slices.DeleteFunc(all.Untold, func(t holdChange) bool { return slices.Contains(h.Untold, t) })
		return nil
	})
}

// Forget asks the recorder to let the bodies of a session go. It does so within
// seconds, or at its next start.
func (r Records) Forget(h Hold) error {
	return changeHolds(r.Dir, func(all *holds) error {
		if all.held(h.Session) {
			return fmt.Errorf("session %s is under a legal hold: release it first", h.Session)
		}
		all.Forget = append(all.Forget, h)
		return nil
	})
}
