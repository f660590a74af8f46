package environment

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/document"
	"github.com/lockstep-cd/lockstep/internal/fault"
)

// Auto are the environments that every new release is promoted to, in promotion
// order.
func (e *Environments) Auto() []Environment {
	return e.only(func(env Environment) bool { return env.Promotion == Auto })
}

// AutoAndManual are the environments that a person means by all of them, in
// promotion order. Never stays out: it is reached by name alone.
func (e *Environments) AutoAndManual() []Environment {
	return e.only(func(env Environment) bool { return env.Promotion != Never })
}

// After are the environments that are after the one of this name, in promotion
// order.
func (e *Environments) After(name string) []Environment {
	return e.only(func(env Environment) bool { return slices.Contains(env.After, name) })
}

// Following are those of After that follow by themselves.
func (e *Environments) Following(name string) []Environment {
	return e.only(func(env Environment) bool { return env.Promotion == Auto && slices.Contains(env.After, name) })
}

// Find is the environment of this name. An unknown name is a usage fault.
func (e *Environments) Find(name string) (Environment, error) {
	if env := e.byName(name); env != nil {
		return *env, nil
	}
	return Environment{}, fault.Usage("UnknownEnvironment", fmt.Errorf("there is no environment %s; %s", document.Quoted(name), document.Suggest(name, e.names())), "")
}

// Of are the environments of these names, in promotion order and each once; without
// names, all. An unknown name is a usage fault.
func (e *Environments) Of(names ...string) ([]Environment, error) {
	for _, name := range names {
		if _, err := e.Find(name); err != nil {
			return nil, err
		}
	}
	return e.only(func(env Environment) bool { return len(names) == 0 || slices.Contains(names, env.Name) }), nil
}

// Named are the environments of these names that somebody promotes into, as Of gives
// them; without names, none. One whose strategy is Never is refused unless breakGlass
// says for people why it is promoted nevertheless; the caller records that reason.
// Gates are not looked at: Decide does.
func (e *Environments) Named(breakGlass string, names ...string) ([]Environment, error) {
	if len(names) == 0 {
		return nil, nil
	}
	chosen, err := e.Of(names...)
	if err != nil {
		return nil, err
	}
	for _, env := range chosen {
		if env.Promotion == Never && strings.TrimSpace(breakGlass) == "" {
			return nil, fault.Refused("PromotionRefused", fmt.Errorf("promote to %s: its strategy is Never", env.Name),
				"Where it must be, give the reason with --break-glass; it is recorded in the commit.")
		}
	}
	return chosen, nil
}

func (e *Environments) only(wanted func(Environment) bool) []Environment {
	return slices.DeleteFunc(e.InOrder(), func(env Environment) bool { return !wanted(env) })
}
