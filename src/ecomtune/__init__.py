"""ecomtune: which way of solving an e-commerce language task is worth its cost, on evidence."""
