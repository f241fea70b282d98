package eval

import "os"

// lock does nothing: Windows would keep those off, too, who only read.
func lock(*os.File) error { return nil }
