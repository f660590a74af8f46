package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/lockstep-cd/lockstep/test/cluster/internal/process"
)

// status is what a profile says about itself.
type status struct {
	Profile     string     `json:"profile"`
	Running     bool       `json:"running"` // every server that belongs to it
	Simulated   bool       `json:"simulated"`
	Data        string     `json:"data"`
	Kubeconfig  string     `json:"kubeconfig"`
	Servers     []server   `json:"servers"`
	Environment []variable `json:"environment"`
}

type server struct {
	Name string `json:"name"`
	PID  int    `json:"pid"` // 0: it does not run
	Log  string `json:"log"`
}

type variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// servers asks for each server whether it runs.
func servers(t process.Table, names []string) (list []server, all bool) {
	all = true
	for _, name := range names {
		pid := t.PID(name)
		all = all && pid != 0
		list = append(list, server{Name: name, PID: pid, Log: t.LogPath(name)})
	}
	return list, all
}

func printStatus(out io.Writer, profiles []cluster, asJSON bool) error {
	var list []status
	for _, c := range profiles {
		s, err := c.Status()
		if err != nil {
			return err
		}
		list = append(list, s)
	}
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		if len(list) == 1 {
			return encoder.Encode(list[0])
		}
		return encoder.Encode(list)
	}
	for _, s := range list {
		s.print(out)
	}
	return nil
}

func (s status) print(out io.Writer) {
	state := "not running"
	if s.Running {
		state = "running"
	}
	fmt.Fprintf(out, "%s: %s, data in %s\n", s.Profile, state, s.Data)
	for _, server := range s.Servers {
		if server.PID == 0 {
			fmt.Fprintf(out, "  %-26s stopped\n", server.Name)
			continue
		}
		fmt.Fprintf(out, "  %-26s process %-8d %s\n", server.Name, server.PID, server.Log)
	}
}

// printEnvironment writes lines that a POSIX shell evaluates. PATH is put in front of the shell's own.
func printEnvironment(out io.Writer, c cluster) error {
	s, err := c.Status()
	if err != nil {
		return err
	}
	for _, v := range s.Environment {
		if v.Name == "PATH" {
			fmt.Fprintf(out, "export PATH=%s:\"$PATH\"\n", quoted(v.Value))
			continue
		}
		fmt.Fprintf(out, "export %s=%s\n", v.Name, quoted(v.Value))
	}
	return nil
}

func quoted(value string) string { return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'" }
