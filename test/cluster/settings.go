package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
)

// settings is everything that the environment decides. The zero value is of no use; see readSettings.
type settings struct {
	Cache   string // LOCKSTEP_CACHE: programs and data live below it
	Modules string // the folder of the modules that programs are built from

	LightAPIPort  int // LOCKSTEP_LIGHT_API_PORT
	LightEtcdPort int // LOCKSTEP_LIGHT_ETCD_PORT; the next one is taken as well, for peers

	FullAPIPort      int        // LOCKSTEP_FULL_API_PORT
	FullEtcdPort     int        // LOCKSTEP_FULL_ETCD_PORT; the next one is taken as well, for peers
	FullRegistryPort int        // LOCKSTEP_FULL_REGISTRY_PORT
	FullGiteaPort    int        // LOCKSTEP_FULL_GITEA_PORT
	FullNodeIP       netip.Addr // LOCKSTEP_FULL_NODE_IP: address of the bridge; its /16 is the pods' network
}

func readSettings(getenv func(string) string) (settings, error) {
	var s settings
	var faults []error
	s.Cache = getenv("LOCKSTEP_CACHE")
	if s.Cache == "" {
		s.Cache = filepath.Join(userCache(getenv), "lockstep")
	}
	if !filepath.IsAbs(s.Cache) {
		faults = append(faults, fmt.Errorf("LOCKSTEP_CACHE is %q, not an absolute path", s.Cache))
	}
	for _, p := range []struct {
		to       *int
		variable string
		port     int
	}{
		{&s.LightAPIPort, "LOCKSTEP_LIGHT_API_PORT", 17443},
		{&s.LightEtcdPort, "LOCKSTEP_LIGHT_ETCD_PORT", 13379},
		{&s.FullAPIPort, "LOCKSTEP_FULL_API_PORT", 6443},
		{&s.FullEtcdPort, "LOCKSTEP_FULL_ETCD_PORT", 2379},
		{&s.FullRegistryPort, "LOCKSTEP_FULL_REGISTRY_PORT", 5000},
		{&s.FullGiteaPort, "LOCKSTEP_FULL_GITEA_PORT", 3000},
	} {
		*p.to = p.port
		if text := getenv(p.variable); text != "" {
			port, err := strconv.ParseUint(text, 10, 16)
			if err != nil || port == 0 {
				faults = append(faults, fmt.Errorf("%s is %q, not a port", p.variable, text))
			}
			*p.to = int(port)
		}
	}
	var err error
	s.FullNodeIP = netip.MustParseAddr("10.88.0.1")
	if text := getenv("LOCKSTEP_FULL_NODE_IP"); text != "" {
		if s.FullNodeIP, err = netip.ParseAddr(text); err != nil || !s.FullNodeIP.Is4() {
			faults = append(faults, fmt.Errorf("LOCKSTEP_FULL_NODE_IP is %q, not an IPv4 address", text))
		}
	}
	if s.Modules, err = findModules(); err != nil {
		faults = append(faults, err)
	}
	return s, errors.Join(faults...)
}

func userCache(getenv func(string) string) string {
	if dir := getenv("XDG_CACHE_HOME"); dir != "" {
		return dir
	}
	return filepath.Join(getenv("HOME"), ".cache")
}

// findModules looks for the modules' folder from where this program is run: its own folder, or the repository's.
// They cannot be embedded: Go leaves folders with a go.mod out.
func findModules() (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for _, dir := range []string{here, filepath.Join(here, "test", "cluster")} {
		modules := filepath.Join(dir, "modules")
		if _, err := os.Stat(filepath.Join(modules, "kubernetes", "go.mod")); err == nil {
			return modules, nil
		}
	}
	return "", fmt.Errorf("no modules/kubernetes/go.mod in %s: run this in the folder test/cluster", here)
}
