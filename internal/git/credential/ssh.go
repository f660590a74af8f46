package credential

import (
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Host is what an SSH configuration says about a host. Of ssh_config(5) it
// knows Host, HostName, Port, User, IdentityFile and StrictHostKeyChecking.
type Host struct {
	HostName      string
	Port          string
	User          string
	IdentityFiles []string
	// AcceptAnyKey: StrictHostKeyChecking is no.
	AcceptAnyKey bool
}

// SSHHost reads the config files of some .ssh folders. As in OpenSSH the first
// value found counts, and IdentityFile adds up.
func SSHHost(dirs []string, name string) (Host, error) {
	h := Host{}
	for _, dir := range dirs {
		text, err := readOptional(filepath.Join(dir, "config"))
		if err != nil {
			return Host{}, err
		}
		h.read(string(text), dir, name)
	}
	for at, fallback := range map[*string]string{&h.HostName: name, &h.Port: "22", &h.User: "git"} {
		if *at == "" {
			*at = fallback
		}
	}
	return h, nil
}

func (h *Host) read(text, dir, name string) {
	applies := true
	for line := range strings.Lines(text) {
		key, value := option(line)
		switch {
		case key == "" || strings.HasPrefix(key, "#"):
		case key == "host":
			applies = matchesHost(strings.Fields(value), name)
		case key == "match":
			applies = false // conditions are not evaluated
		case applies:
			h.set(key, value, dir)
		}
	}
}

// option splits "Key value" and "Key=value".
func option(line string) (key, value string) {
	line = strings.TrimSpace(line)
	at := strings.IndexAny(line, " \t=")
	if at < 0 {
		return strings.ToLower(line), ""
	}
	value = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line[at:]), "="))
	return strings.ToLower(line[:at]), strings.Trim(value, `"`)
}

func matchesHost(patterns []string, name string) bool {
	found := false
	for _, p := range patterns {
		p, not := strings.CutPrefix(p, "!")
		if ok, err := path.Match(strings.ToLower(p), strings.ToLower(name)); err != nil || !ok {
			continue
		}
		if not {
			return false
		}
		found = true
	}
	return found
}

func (h *Host) set(key, value, dir string) {
	first := func(at *string) {
		if *at == "" {
			*at = value
		}
	}
	switch key {
	case "hostname":
		first(&h.HostName)
	case "port":
		first(&h.Port)
	case "user":
		first(&h.User)
	case "identityfile":
		h.IdentityFiles = append(h.IdentityFiles, identity(value, dir))
	case "stricthostkeychecking":
		h.AcceptAnyKey = h.AcceptAnyKey || value == "no" || value == "off"
	}
}

// identity finds a key. A configuration that came with the folder names where
// it was made for, such as ~/.ssh/id_rsa; here the file of that name beside it
// is meant.
func identity(value, dir string) string {
	value = strings.NewReplacer("%d", filepath.Dir(dir)).Replace(value)
	if rest, ok := strings.CutPrefix(value, "~/"); ok {
		value = filepath.Join(filepath.Dir(dir), rest)
	}
	if filepath.IsAbs(value) {
		if _, err := os.Stat(value); err == nil {
			return value
		}
		return filepath.Join(dir, filepath.Base(value))
	}
	return filepath.Join(dir, value)
}
