package fault

import (
	"errors"
	"syscall"
)

// Disk gives the error of a full disk its meaning, "DiskFull"; others pass.
func Disk(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return Retryable("DiskFull", err, "Free some space on that disk or volume, or use a larger one.")
	}
	return err
}
