package apidef

import "reflect"

// Clone copies the API through and through: nothing in the copy is shared.
func (a *API) Clone() *API {
	if a == nil {
		return nil
	}
	return cloned(reflect.ValueOf(a)).Interface().(*API)
}

// cloned copies by reflection, so that no field added to the structs can be forgotten. Definitions are cloned when
// they are changed, never per message.
func cloned(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		c := reflect.New(v.Type().Elem())
		c.Elem().Set(cloned(v.Elem()))
		return c
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			c.Index(i).Set(cloned(v.Index(i)))
		}
		return c
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		c := reflect.MakeMapWithSize(v.Type(), v.Len())
		for entries := v.MapRange(); entries.Next(); {
			c.SetMapIndex(entries.Key(), cloned(entries.Value()))
		}
		return c
	case reflect.Struct:
		c := reflect.New(v.Type()).Elem()
		for i := range v.NumField() {
			c.Field(i).Set(cloned(v.Field(i)))
		}
		return c
	default:
		return v
	}
}
