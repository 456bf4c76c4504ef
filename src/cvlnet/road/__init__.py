"""The road in a vehicle's pictures: what moves on it between two pictures, and what that says of camera and motion."""
