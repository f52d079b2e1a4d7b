package store

import (
	"errors"
	"os"
)

// files are the operations that change the disk. Each asks fault first, which tests set to
// stop everything at one of them.
type files struct {
	fault func(op, path string) error
}

func (f files) before(op, path string) error {
	if f.fault == nil {
		return nil
	}
	return f.fault(op, path)
}

func (f files) mkdir(path string) error {
	if err := f.before("mkdir", path); err != nil {
		return err
	}
	return os.Mkdir(path, 0o755)
}

// write makes a file and syncs it; its folder is the caller's.
func (f files) write(path string, content []byte) error {
	if err := f.before("write", path); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err := file.Write(content); err != nil {
		return errors.Join(err, file.Close())
	}
	return errors.Join(file.Sync(), file.Close())
}

func (f files) link(from, to string) error {
	if err := f.before("link", to); err != nil {
		return err
	}
	return os.Link(from, to)
}

// sync syncs a file or a folder.
func (f files) sync(path string) error {
	if err := f.before("sync", path); err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

func (f files) rename(from, to string) error {
	if err := f.before("rename", to); err != nil {
		return err
	}
	return os.Rename(from, to)
}

func (f files) removeAll(path string) error {
	if err := f.before("remove", path); err != nil {
		return err
	}
	return os.RemoveAll(path)
}
