"""What people look at: tables, plots, pictures of single cases, and the page that holds them."""
