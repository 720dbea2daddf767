package domain

import (
	"slices"
	"strconv"
	"strings"
)

// Version is what this program reports to the other nodes on its database.
// Nodes write data that an older program cannot read only when every node
// reports a version that can read it: see VersionAtLeast.
const Version = "0.2.0"

// VersionAtLeast reports whether a program that reports version is least or
// newer. Programs before 0.2 report nothing. An unreadable version counts as
// nothing.
func VersionAtLeast(version, least string) bool {
	v, w := versionNumbers(version), versionNumbers(least)
	return slices.Compare(v[:], w[:]) >= 0
}

// versionNumbers reads MAJOR.MINOR.PATCH; a suffix such as -rc.1 is ignored.
func versionNumbers(version string) (numbers [3]int) {
	version, _, _ = strings.Cut(version, "-")
	parts := strings.Split(version, ".")
	if len(parts) != len(numbers) {
		return [3]int{}
	}
	for i, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil {
			return [3]int{}
		}
		numbers[i] = n
	}
	return numbers
}
