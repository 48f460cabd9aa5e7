// Package schedule decides when something is due, and what becomes of each time
// at which it was. It is pure: rules, what has been decided so far and a time
// in; what to skip, what to begin and when to ask again out.
//
// A slot is one time at which a schedule is due. A schedule is written as a
// cron expression: five fields, MINUTE HOUR DAY MONTH WEEKDAY, of numbers,
// names (JAN, SUN), lists, ranges and steps, or one of @hourly, @daily,
// @weekly, @monthly and @yearly. Where neither DAY nor WEEKDAY begins with "*",
// a day has to match one of them; else both.
//
// The fields are read off a clock on a wall of the schedule's time zone. Where
// clocks are set forward or back this holds:
//
//   - HOUR names hours: each time that matches is one slot, at the first moment
//     at which the clock shows that time or a later one. A time that is left
//     out is a slot when the clock is set forward; a time that is shown twice
//     is a slot the first time. Times that fall together are one slot.
//   - HOUR matches every hour: each minute that passes and matches is a slot.
//     An hour that is shown twice has its slots twice, an hour that is left out
//     has none, so that hourly stays hourly.
package schedule
