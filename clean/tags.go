package clean

import (
	"encoding/binary"
	"strings"
)

// What is kept of the tags of music is what a listener picks it by: title, artist,
// album, number and kind. It is kept only where an artist is named: a recorder's
// title may be the street where it was switched on. A tag that is no such line of
// text, or a long one, goes.

// vorbisKept are the names of comments that stay (Vorbis I, section 5), small
// letters. The mask says which loudspeaker each channel is for.
var vorbisKept = map[string]bool{
	"title": true, "artist": true, "album": true, "albumartist": true, "album artist": true,
	"tracknumber": true, "tracktotal": true, "totaltracks": true,
	"discnumber": true, "disctotal": true, "totaldiscs": true, "genre": true,
}

// vorbisNeeded are the names of comments that stay in any case: what playing goes by.
var vorbisNeeded = map[string]bool{
	"waveformatextensible_channel_mask": true,
	"replaygain_track_gain":             true, "replaygain_track_peak": true,
	"replaygain_album_gain": true, "replaygain_album_peak": true,
	"r128_track_gain": true, "r128_album_gain": true,
}

// vorbisComments makes of the comments in a range those that stay, without the
// name of the encoder. used is how long those were that were read.
func (p *Plan) vorbisComments(r reader, at, n int64) (kept []byte, used int64, err error) {
	end := at + n
	u32 := func() (int64, error) {
		b, err := r.bytes(at, 4)
		if err != nil {
			return 0, err
		}
		at += 4
		return int64(binary.LittleEndian.Uint32(b)), nil
	}
	begin := at
	vendor, err := u32()
	if err != nil {
		return nil, 0, err
	}
	if at += vendor; at > end-4 {
		return nil, 0, errBroken
	}
	count, err := u32()
	if err != nil {
		return nil, 0, err
	}
	var music, needed [][]byte
	artist, total := false, 0
	for range count {
		if err := p.part(); err != nil {
			return nil, 0, err
		}
		length, err := u32()
		if err != nil {
			return nil, 0, err
		}
		if at+length > end {
			return nil, 0, errBroken
		}
		b, err := r.bytes(at, int(min(length, maxTag)))
		if err != nil {
			return nil, 0, err
		}
		at += length
		name, value, _ := strings.Cut(string(b), "=")
		name = strings.ToLower(name)
		p.Location = p.Location || strings.HasPrefix(name, "location") || strings.HasPrefix(name, "geo") || strings.HasPrefix(name, "gps")
		if length > maxTag || total+len(b) > maxTags || value == "" {
			continue
		}
		one := append(binary.LittleEndian.AppendUint32(nil, uint32(length)), b...)
		switch {
		case vorbisNeeded[name]:
			needed = append(needed, one)
		case vorbisKept[name]:
			music = append(music, one)
			artist = artist || name == "artist" || name == "albumartist"
		default:
			continue
		}
		total += len(b)
	}
	if !artist {
		music = nil
	}
	music = append(music, needed...)
	kept = binary.LittleEndian.AppendUint32(make([]byte, 4, 8+total), uint32(len(music)))
	for _, one := range music {
		kept = append(kept, one...)
	}
	return kept, at - begin, nil
}

// reader is where a header is read from: a file, or a packet in pages.
type reader interface {
	// bytes is what stands at an offset, good until the next call.
	bytes(at int64, n int) ([]byte, error)
}
