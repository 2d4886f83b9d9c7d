"""StyleFlow: attributes by a conditional flow in W+ (Abdal et al. 2021),."""
