package boltfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// The layout of a bbolt file, see its internal/common package. Numbers are in
// the byte order of the machine.
const (
	pageHeaderSize = 16 // id uint64, flags uint16, count uint16, overflow uint32
	elementSize    = 16 // of a branch: pos, ksize uint32, page uint64; of a leaf: flags, pos, ksize, vsize uint32
	bucketSize     = 16 // root uint64, sequence uint64; an inline page follows if root is 0
	metaSize       = 64 // magic, version, pageSize, flags uint32; root bucket; freelist, pages, txid, checksum uint64

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10
	bucketLeaf   = 0x01

	metaMagic  = 0xED0CDAED
	noFreelist = ^uint64(0)
	maxNesting = 16
)

// checker reads a bbolt file page by page. bbolt's own check works on the
// mapped file and can be led outside of it by the damage that it looks for,
// which no recover catches.
type checker struct {
	file     io.ReaderAt
	size     uint64
	pageSize uint64
	pages    uint64   // in use or free
	reached  []uint64 // a bit for each page that is in use, or found free
	count    uint64   // of the bits that are set
}

// check returns what is wrong with the file at path. Nobody may write to it.
func check(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // nothing was written
	info, err := file.Stat()
	if err != nil {
		return err
	}
	c := &checker{file: file, size: uint64(info.Size()), pageSize: uint64(os.Getpagesize())}
	m, err := c.meta()
	if err != nil {
		return err
	}
	c.pages = m.pages
	if c.pages > c.size/c.pageSize {
		return fmt.Errorf("truncated: %d bytes of %d", c.size, c.pages*c.pageSize)
	}
	c.reached = make([]uint64, c.pages/64+1)
	if err := c.tree(m.root, 0); err != nil {
		return err
	}
	return c.freelist(m.freelist)
}

// read returns a part of the file.
func (c *checker) read(begin, length uint64) ([]byte, error) {
	data := make([]byte, length)
	_, err := c.file.ReadAt(data, int64(begin))
	return data, err
}

// reach marks a page as in use or free, and refuses one that is either already.
func (c *checker) reach(id uint64) bool {
	word, bit := &c.reached[id/64], uint64(1)<<(id%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	c.count++
	return true
}

// meta is the head of a bbolt file.
type meta struct{ root, freelist, pages, txid uint64 }

// meta returns the newest of the two heads that is whole.
func (c *checker) meta() (newest meta, err error) {
	ok := false
	for i := range uint64(2) {
		begin := i*c.pageSize + pageHeaderSize
		if begin+metaSize > c.size {
			continue
		}
		b, err := c.read(begin, metaSize)
		if err != nil {
			return meta{}, err
		}
		sum := fnv.New64a()
		sum.Write(b[:56])
		if binary.NativeEndian.Uint32(b) != metaMagic || binary.NativeEndian.Uint64(b[56:]) != sum.Sum64() {
			continue
		}
		if size := uint64(binary.NativeEndian.Uint32(b[8:])); size != c.pageSize {
			return meta{}, fmt.Errorf("made on a machine with pages of %d bytes", size)
		}
		m := meta{root: binary.NativeEndian.Uint64(b[16:]), freelist: binary.NativeEndian.Uint64(b[32:]),
			pages: binary.NativeEndian.Uint64(b[40:]), txid: binary.NativeEndian.Uint64(b[48:])}
		if !ok || m.txid > newest.txid {
			newest, ok = m, true
		}
	}
	if !ok {
		return meta{}, errors.New("no head")
	}
	return newest, nil
}

// page is a page with those that follow it as one.
type page struct {
	id    uint64
	flags uint16
	count int
	data  []byte // header included
}

// page returns a page that is in use, and refuses one that was reached before.
func (c *checker) page(id uint64) (page, error) {
	if id < 2 || id >= c.pages {
		return page{}, fmt.Errorf("page %d of %d", id, c.pages)
	}
	data, err := c.read(id*c.pageSize, c.pageSize)
	if err != nil {
		return page{}, err
	}
	overflow := uint64(binary.NativeEndian.Uint32(data[12:]))
	if got := binary.NativeEndian.Uint64(data); got != id || id+overflow >= c.pages {
		return page{}, fmt.Errorf("page %d says that it is page %d with %d more", id, got, overflow)
	}
	for i := id; i <= id+overflow; i++ {
		if !c.reach(i) {
			return page{}, fmt.Errorf("page %d is used twice", i)
		}
	}
	if overflow > 0 {
		data, err = c.read(id*c.pageSize, (overflow+1)*c.pageSize)
	}
	return parsePage(id, data), err
}

func parsePage(id uint64, data []byte) page {
	return page{id: id, flags: binary.NativeEndian.Uint16(data[8:]), count: int(binary.NativeEndian.Uint16(data[10:])), data: data}
}

// tree checks the pages of the B+ tree below page id.
func (c *checker) tree(id uint64, depth int) error {
	p, err := c.page(id)
	if err != nil {
		return err
	}
	return c.elements(p, depth)
}

// elements checks the elements of a branch or leaf page and all below them.
func (c *checker) elements(p page, depth int) error {
	if depth > maxNesting {
		return fmt.Errorf("page %d: nested too deep", p.id)
	}
	if p.flags != branchPage && p.flags != leafPage || p.flags == branchPage && p.count == 0 {
		return fmt.Errorf("page %d: type %#x with %d elements", p.id, p.flags, p.count)
	}
	var last []byte
	for i := range p.count {
		key, value, err := p.element(i)
		if err != nil {
			return err
		}
		if i > 0 && bytes.Compare(last, key) >= 0 {
			return fmt.Errorf("page %d: keys are not in order", p.id)
		}
		last = key
		if err := c.below(p, i, value, depth); err != nil {
			return err
		}
	}
	return nil
}

// element returns the key and value of an element; of a branch page, the value
// is empty.
func (p page) element(i int) (key, value []byte, err error) {
	begin := uint64(pageHeaderSize + i*elementSize)
	if begin+elementSize > uint64(len(p.data)) {
		return nil, nil, fmt.Errorf("page %d: %d elements", p.id, p.count)
	}
	e := p.data[begin:]
	pos, ksize, vsize := binary.NativeEndian.Uint32(e), binary.NativeEndian.Uint32(e[4:]), uint32(0)
	if p.flags == leafPage {
		pos, ksize, vsize = ksize, binary.NativeEndian.Uint32(e[8:]), binary.NativeEndian.Uint32(e[12:])
	}
	keyAt := begin + uint64(pos)
	valueAt := keyAt + uint64(ksize)
	end := valueAt + uint64(vsize)
	if pos < elementSize || ksize == 0 || end > uint64(len(p.data)) {
		return nil, nil, fmt.Errorf("page %d: element %d lies outside", p.id, i)
	}
	return p.data[keyAt:valueAt], p.data[valueAt:end], nil
}

// below checks what an element leads to: a page, a bucket, or nothing.
func (c *checker) below(p page, i int, value []byte, depth int) error {
	e := p.data[pageHeaderSize+i*elementSize:]
	if p.flags == branchPage {
		return c.tree(binary.NativeEndian.Uint64(e[8:]), depth+1)
	}
	switch flags := binary.NativeEndian.Uint32(e); {
	case flags == 0:
		return nil
	case flags != bucketLeaf, len(value) < bucketSize:
		return fmt.Errorf("page %d: element %d has flags %#x", p.id, i, flags)
	}
	root := binary.NativeEndian.Uint64(value)
	if root != 0 {
		return c.tree(root, depth+1)
	}
	inline := value[bucketSize:]
	if len(inline) < pageHeaderSize {
		return fmt.Errorf("page %d: element %d is no bucket", p.id, i)
	}
	in := parsePage(p.id, inline)
	if in.flags != leafPage {
		return fmt.Errorf("page %d: element %d holds a page of type %#x", p.id, i, in.flags)
	}
	return c.elements(in, depth+1)
}

// freelist checks that every page is in use or free, and none both.
func (c *checker) freelist(id uint64) error {
	if id == noFreelist {
		return nil
	}
	p, err := c.page(id)
	if err != nil {
		return err
	}
	if p.flags != freelistPage {
		return fmt.Errorf("page %d: type %#x instead of a list of free pages", id, p.flags)
	}
	ids, count := p.data[pageHeaderSize:], uint64(p.count)
	if count == 0xffff && len(ids) >= 8 { // too many for the header
		count, ids = binary.NativeEndian.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids))/8 {
		return fmt.Errorf("page %d: %d free pages", id, count)
	}
	for i := range count {
		free := binary.NativeEndian.Uint64(ids[8*i:])
		if free < 2 || free >= c.pages || !c.reach(free) {
			return fmt.Errorf("page %d of %d is free and in use", free, c.pages)
		}
	}
	if got := c.count + 2; got != c.pages {
		return fmt.Errorf("%d pages of %d are neither free nor in use", c.pages-got, c.pages)
	}
	return nil
}
