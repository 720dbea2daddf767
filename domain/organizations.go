package domain

import "time"

// Organization is the tenant: people share it by membership, and projects
// belong to it.
type Organization struct {
	ID        OrganizationID
	Name      string
	Slug      string // unique in the instance
	Status    Status
	Suspended Suspension
	CreatedAt time.Time
	UpdatedAt time.Time
	Revision  int64
}

// Usable reports whether keys of the organization's projects can work.
func (o Organization) Usable() bool { return o.Status == Active && !o.Suspended.Active() }

// Scope returns the permission to query this organization's rows. Only a loaded
// organization can give it.
func (o Organization) Scope() OrganizationScope { return OrganizationScope{o.ID} }

// OrganizationScope confines a query to one organization. It cannot be made
// outside this package except from an Organization.
type OrganizationScope struct{ organization OrganizationID }

// Organization returns the tenant's id.
func (s OrganizationScope) Organization() OrganizationID { return s.organization }

// MemberOf is an organization as one of its members sees it.
type MemberOf struct {
	Organization
	Role Role
}

// OrganizationSpec is what a caller can choose for a new organization.
type OrganizationSpec struct {
	Name string
	Slug string // empty: derived from the name

	// Owner is set by the command line only; otherwise the calling user is the
	// owner.
	Owner UserID

	IdempotencyKey Hidden // makes a lost answer recoverable: see ValidateIdempotencyKey
}

// Validate returns validation_failed, naming every field that is wrong.
func (s OrganizationSpec) Validate() error {
	var v Invalid
	v.Name("/name", s.Name)
	if s.Slug != "" {
		v.slug(s.Slug)
	}
	return v.Err()
}

// OrganizationPatch is a change to an organization. A nil field stays as it is.
type OrganizationPatch struct {
	Name   *string
	Slug   *string
	Status *Status
}

// Apply returns o with the patch applied, or validation_failed.
func (p OrganizationPatch) Apply(o Organization) (Organization, error) {
	given := fields{}
	set(given, "name", &o.Name, p.Name)
	set(given, "slug", &o.Slug, p.Slug)
	set(given, "status", &o.Status, p.Status)
	var v Invalid
	v.Name("/name", o.Name)
	v.slug(o.Slug)
	v.status(o.Status)
	return o, v.of(given)
}
