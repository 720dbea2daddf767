package cache

import (
	"sync"
	"sync/atomic"

	"github.com/latchkey-dev/latchkey/domain"
)

const tenantsInChunk = 1024

// tenants holds what keys share: their project and its organization, under a
// number that a key can keep without a pointer. A number belongs to its project
// while any key uses it. The tenant under the number can go and come back:
// without it the project's keys are unknown, and the first of them that is read
// brings it back for all.
type tenants struct {
	chunks atomic.Pointer[[]*[tenantsInChunk]tenant] // replaced when it grows, so that get needs no lock

	mu        sync.Mutex
	byProject map[domain.ProjectID]uint32
	free      []uint32

	familiar atomic.Int32 // keys read in a row whose tenant was already here
}

// enoughFamiliar is the number of such keys after which the tenant of the next
// key is assumed to be here, too. A wrong guess costs a second query, so at
// most about one key in this many pays for one; keys that are read at the same
// time may all guess wrong.
const enoughFamiliar = 8

type tenant struct {
	value   atomic.Pointer[domain.Tenant]
	project domain.ProjectID
	keys    int
}

func (t *tenants) get(number uint32) *domain.Tenant { return t.at(number).value.Load() }

func (t *tenants) at(number uint32) *tenant {
	return &(*t.chunks.Load())[number/tenantsInChunk][number%tenantsInChunk]
}

// of returns the tenant of a project, or nil if it is not here.
func (t *tenants) of(id domain.ProjectID) *domain.Tenant {
	t.mu.Lock()
	defer t.mu.Unlock()
	if number, ok := t.byProject[id]; ok {
		return t.get(number)
	}
	return nil
}

// likely reports whether the tenant of the next key is probably here.
func (t *tenants) likely() bool { return t.familiar.Load() >= enoughFamiliar }

// note records whether the tenant of a key that was read was here.
func (t *tenants) note(wasHere bool) {
	if wasHere {
		t.familiar.Add(1)
	} else {
		t.familiar.Store(0)
	}
}

// acquire returns the number of v's project, for one more key.
func (t *tenants) acquire(v *domain.Tenant) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	number, ok := t.byProject[v.Project.ID]
	if !ok {
		if len(t.free) == 0 {
			t.grow()
		}
		number = t.free[len(t.free)-1]
		t.free = t.free[:len(t.free)-1]
		t.byProject[v.Project.ID] = number
		t.at(number).project = v.Project.ID
	}
	at := t.at(number)
	at.keys++
	at.value.CompareAndSwap(nil, v) // a tenant that is already there is as true as v, and already shared
	return number
}

// release is for a key that was dropped.
func (t *tenants) release(number uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.at(number)
	if at.keys--; at.keys == 0 {
		delete(t.byProject, at.project)
		at.project = ""
		at.value.Store(nil)
		t.free = append(t.free, number)
	}
}

func (t *tenants) grow() {
	var chunks []*[tenantsInChunk]tenant
	if old := t.chunks.Load(); old != nil {
		chunks = append(chunks, *old...)
	}
	first := uint32(len(chunks) * tenantsInChunk)
	chunks = append(chunks, new([tenantsInChunk]tenant))
	t.chunks.Store(&chunks)
	for i := range uint32(tenantsInChunk) {
		t.free = append(t.free, first+i)
	}
}

func (t *tenants) forgetProject(id domain.ProjectID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if number, ok := t.byProject[id]; ok {
		t.at(number).value.Store(nil)
	}
}

// forgetOrganization goes through all projects: organizations rarely change.
func (t *tenants) forgetOrganization(id domain.OrganizationID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, number := range t.byProject {
		if at := t.at(number); at.value.Load() != nil && at.value.Load().Organization.ID == id {
			at.value.Store(nil)
		}
	}
}
