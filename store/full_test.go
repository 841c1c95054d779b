package store_test
func fillDisk() {}
