package catalog

// DeleteRepository is a part of Delete.
var DeleteRepository = Catalog.deleteRepository
