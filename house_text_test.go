package holdfast

import (
	"fmt"
	"regexp"
	"strings"
)

// Patterns of text that is true on one machine only. They are put together
// here so that this file passes its own rule.
var (
	machinePath  = regexp.MustCompile(`(?:^|[^\w.})>-])(/(?:` + strings.Join([]string{"work", "root", "home", "Users", "tmp/hf"}, "|") + `)/\S*)`)
	registryHost = regexp.MustCompile(`(?i)\b(?:` + strings.Join([]string{
		"proxy|sum", // of Go
	}, "|") + `)\.golang\.org\b|\bdeb\.` + `debian\.org\b|\bregistry\.` + `npmjs\.org\b|\bpypi\.` + `org\b`)
)

func machineRule() rule {
	return rule{
		name: "nothing knows a machine",
		check: func(s *source) []string {
			var complaints []string
			for _, f := range s.files {
				for n, line := range strings.Split(f.text, "\n") {
					complaints = append(complaints, checkLine(f.path, n+1, line)...)
				}
			}
			return complaints
		},
		good: []string{"== a.md\nSee https://example.com/" + "work/x, net" + "work/x and ./" + "home/x. Work with ~/.cache.\n"},
		bad: []breaker{
			{"== a.md\ncd /" + "work/main\n", "/" + "work/main"},
			{"== a.go\n// In \"/" + "home/me/x\".\npackage a\n", "/" + "home/me/x"},
			{"== ci\nGOPROXY=https://proxy." + "golang.org,direct\n", "host of a package registry"},
		},
	}
}

func checkLine(path string, n int, line string) []string {
	var complaints []string
	if found := machinePath.FindStringSubmatch(line); found != nil {
		complaints = append(complaints, fmt.Sprintf("%s:%d: %s is a path of one machine", path, n, found[1]))
	}
	if found := registryHost.FindString(line); found != "" {
		complaints = append(complaints, fmt.Sprintf("%s:%d: %s is the host of a package registry, which is a setting", path, n, found))
	}
	return complaints
}
