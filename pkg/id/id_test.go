package id_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/id"
)

func TestNewIsValidAndOrdered(t *testing.T) {
	made := make([]string, 1000)
	for i := range made {
		made[i] = id.New()
		if !id.Valid(made[i]) {
			t.Fatalf("%q is not valid", made[i])
		}
	}
	if !slices.IsSorted(made) {
		t.Error("later ids do not sort after earlier ones")
	}
	if len(slices.Compact(slices.Clone(made))) != len(made) {
		t.Error("an id was made twice")
	}
}

func TestValid(t *testing.T) {
	for _, good := range []string{"a", "Z", "0", "-", "_", "019-aZ_", strings.Repeat("x", id.MaxLen)} {
		if !id.Valid(good) {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{"", strings.Repeat("x", id.MaxLen+1), "a b", "a.b", "a/b", "a+b", "#", "a:b", "{a}", "é", "a\n", "a\x00"} {
		if id.Valid(bad) {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestShardOf(t *testing.T) {
	for _, n := range []int{0, 7, 10, 63, 99, 100, 1023} {
		made := id.NewOn(n)
		if got, ok := id.ShardOf(made); !ok || got != n {
			t.Errorf("ShardOf(%q): got %d, %t, want %d", made, got, ok, n)
		}
	}
	for _, bad := range []string{"", ".", "7.x", "07", "07.", ".x", "-7.x", "+7.x", "0x.x", "70000.x", "07.a.b", "07.a b", " 7.x"} {
		if n, ok := id.ShardOf(bad); ok {
			t.Errorf("ShardOf(%q): got %d, want none", bad, n)
		}
	}
}

var valid = regexp.MustCompile(`\A[A-Za-z0-9_-]{1,64}\z`)

func FuzzValid(f *testing.F) {
	f.Add("019a-bC_")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := id.Valid(s), valid.MatchString(s); got != want {
			t.Errorf("Valid(%q): got %t, want %t", s, got, want)
		}
	})
}

func FuzzShardOf(f *testing.F) {
	f.Add("07.019a")
	f.Add("7.x")
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := id.ShardOf(s)
		if !ok && n != 0 {
			t.Errorf("ShardOf(%q): %d, and yet none", s, n)
		}
		if n < 0 || n > 65535 {
			t.Errorf("ShardOf(%q): %d is no shard", s, n)
		}
		if head, rest, _ := strings.Cut(s, "."); ok && (!id.Valid(rest) || strings.Trim(head, "0123456789") != "") {
			t.Errorf("ShardOf(%q): got %d from what NewOn cannot have made", s, n)
		}
	})
}
