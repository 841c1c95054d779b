package clean

// gif keeps pictures, their timing and their colour profile; comments and what
// programs left go (GIF89a specification).
func (p *Plan) gif() error {
	b, err := p.in.bytes(0, 13)
	if err != nil {
		return err
	}
	at := 13 + gifTable(b[10])
	for {
		if err := p.part(); err != nil {
			return err
		}
		kind, err := p.in.u8(at)
		if err != nil {
			return err
		}
		switch kind {
		case 0x3b: // trailer
			return p.remove(at+1, p.in.size-at-1)
		case 0x2c: // image
			b, err := p.in.bytes(at, 10)
			if err != nil {
				return err
			}
			// The table of its own colours, and the size of the codes.
			at, err = p.gifBlocks(at + 11 + gifTable(b[9]))
			if err != nil {
				return err
			}
		case 0x21: // extension
			if at, err = p.gifExtension(at); err != nil {
				return err
			}
		default:
			return errBroken
		}
	}
}

// gifTable is the length of a colour table, by the byte that says so.
func gifTable(flags byte) int64 {
	if flags&0x80 == 0 {
		return 0
	}
	return 3 << (flags&7 + 1)
}

func (p *Plan) gifExtension(at int64) (end int64, err error) {
	label, err := p.in.u8(at + 1)
	if err != nil {
		return 0, err
	}
	if end, err = p.gifBlocks(at + 2); err != nil {
		return 0, err
	}
	switch label {
	case 0xf9, 0x01: // timing and transparency; text that is drawn
		return end, nil
	case 0xff: // of a program
		// How often it plays: 3 bytes. A name of 11 bytes stands before them.
		loops := p.in.has(at+2, "\x0bNETSCAPE2.0\x03\x01") || p.in.has(at+2, "\x0bANIMEXTS1.0\x03\x01")
		if loops && end == at+19 || p.in.has(at+2, "\x0bICCRGBG1012") {
			return end, nil
		}
	}
	return end, p.remove(at, end-at)
}

// gifBlocks passes over blocks up to the empty one that ends them.
func (p *Plan) gifBlocks(at int64) (int64, error) {
	for {
		n, err := p.in.u8(at)
		if err != nil {
			return 0, err
		}
		at += 1 + int64(n)
		if n == 0 {
			return at, nil
		}
	}
}
