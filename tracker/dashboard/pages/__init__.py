"""One module per page. A page module has HANDLERS, and PLACE when the side bar names it."""
