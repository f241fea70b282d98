package eval

import "os"

// lock does nothing: a lock of Windows would keep this program's own writes off too.
func lock(*os.File) error { return nil }
